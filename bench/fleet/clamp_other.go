//go:build !linux

package fleet

import "net"

// clamp bounds what the kernel keeps for a connection.
func clamp(conn *net.TCPConn, bytes int) error { return conn.SetReadBuffer(bytes) }
