package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Servers may have each other as mirrors, and one may have itself, since engines of the
// same machine are configured so. Each adds its name to the field Via of its requests (RFC
// 9110, section 7.6.3), and refuses those that have it already: 404, at which the asking
// server goes on with its other sources. What a server asks on behalf of another is asked
// apart from the rest, so that requests for manifests never wait for each other. A blob has
// one download at a time: a server that joins one which was begun for others is cut off
// when no byte comes for a while, since the download may wait for that server.

// viaPrefix is the beginning of what a server adds to Via: the protocol, and a name.
const viaPrefix = "1.1 segpull-"

// mostServers bounds a chain of servers.
const mostServers = 8

// peerPatience is how long a server waits for the next byte of a download that was begun for
// others.
const peerPatience = 2 * time.Second

// errPeer is why a server is cut off.
var errPeer = errors.New("no byte has come, and the download may wait for the server that asks")

// limitPeer returns a context for sending the download to a client: if that is another
// server, and the download was begun for others, it ends when w writes nothing for
// peerPatience. Call stop.
func (d *download) limitPeer(ctx context.Context, w *response) (limited context.Context, stop func()) {
	if via := viaOf(ctx); via == d.via || !strings.Contains(via, ",") {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(peerPatience, func() { cancel(errPeer) })
	w.progress = func() { timer.Reset(peerPatience) }
	return ctx, func() { timer.Stop(); cancel(nil) }
}

// newName returns a name that no other server has.
func newName() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return viaPrefix + hex.EncodeToString(id[:])
}

// errCircle is the error of a request that has come back.
var errCircle = errors.New("the request came from this server, which does not ask itself: leave it out of the mirrors that it uses")

// via returns the servers through which a request has come, with this one at the end.
func (h *Handler) via(r *http.Request) (string, error) {
	var servers []string
	for _, field := range r.Header.Values("Via") {
		for entry := range strings.SplitSeq(field, ",") {
			if entry = strings.TrimSpace(entry); strings.HasPrefix(entry, viaPrefix) {
				servers = append(servers, entry)
			}
			if entry == h.name || len(servers) > mostServers {
				return "", errCircle
			}
		}
	}
	return strings.Join(append(servers, h.name), ", "), nil
}

// viaKey is the key of a context's Via.
type viaKey struct{}

// withVia returns a context for what is asked on behalf of a request.
func (h *Handler) withVia(ctx context.Context, via string) context.Context {
	return h.opts.Upstream.Via(context.WithValue(ctx, viaKey{}, via), via)
}

// viaOf returns the Via of a context that withVia has returned.
func viaOf(ctx context.Context) string {
	via, _ := ctx.Value(viaKey{}).(string)
	return via
}
