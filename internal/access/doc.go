// Package access decides which clients may use a server: TLS and client certificates,
// tokens, networks, and numbers of connections.
//
//	net.Listener ─→ Connections: networks, numbers ─→ Guard.TLS ─→ Guard.Handler: certificate or token ─→ http.Handler
//
// A [Guard] reads its files again while the server runs. If the new ones are not usable,
// it keeps what it has.
package access
