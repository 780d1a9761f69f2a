package hostiletest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// misbehaviour is the behaviour of a hostile mirror.
type misbehaviour struct {
	alone  error // class of the error of a pull from this mirror only; nil: the pull succeeds
	faults []registrytest.Fault
}

// errSlow marks a mirror from which a pull succeeds, but slowly.
var errSlow = errors.New("slow")

func misbehaves(alone error, faults ...registrytest.Fault) misbehaviour {
	return misbehaviour{alone, faults}
}

// says returns a mirror that answers requests for blobs with these bytes, and closes the
// connection.
func says(alone error, text string) misbehaviour {
	return misbehaves(alone, registrytest.Raw(text, "", 0))
}

// goesOn returns a mirror that answers with head, and then with again, without end.
func goesOn(head, again string) misbehaviour {
	return misbehaves(segpull.ErrNetwork, registrytest.Raw(head, again, 0))
}

// tokens returns a mirror that requires tokens, and answers token requests like this.
func tokens(alone error, answer registrytest.Fault) misbehaviour {
	return misbehaves(alone, answer.On(registrytest.KindToken), registrytest.Bearer(registrytest.Auth{}))
}

// body answers 200 with a body.
func body(text string) registrytest.Fault {
	return registrytest.Wrap(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	})
}

// misbehaviours concern blobs, unless they say otherwise: manifests come before the part
// of the pull that these tests check.
func misbehaviours() map[string]misbehaviour {
	var (
		network   = segpull.ErrNetwork
		refused   = segpull.ErrCredentials
		mismatch  = segpull.ErrMismatch
		permanent = segpull.ErrPermanent
	)
	const (
		chunked   = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		partial   = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/5\r\n"
		interim   = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
		switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
		orders    = "\x1b[2J\x1b]0;owned\x07\u202e\xff\r\x00"
	)
	kilo := strings.Repeat("x", kib)
	contentRange := func(format func(start, end, size int64) string) misbehaviour {
		return misbehaves(nil, registrytest.ContentRange(format)) // segpull requests the whole blob
	}
	return map[string]misbehaviour{
		"a captive portal":               misbehaves(permanent, registrytest.CaptivePortal().On()),
		"a captive portal for blobs":     misbehaves(permanent, registrytest.CaptivePortal()),
		"a captive portal for manifests": misbehaves(permanent, registrytest.CaptivePortal().On(registrytest.KindManifest)),
		"a captive portal for tokens":    tokens(permanent, registrytest.CaptivePortal()),

		"a wrong Content-Range":       contentRange(func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start+1, end, size) }),
		"no Content-Range":            contentRange(func(int64, int64, int64) string { return "" }),
		"a Content-Range of nonsense": contentRange(func(int64, int64, int64) string { return "bytes -9223372036854775808-9223372036854775807/*" }),
		"a wrong total":               contentRange(func(start, end, _ int64) string { return fmt.Sprintf("bytes %d-%d/%d", start, end-1, int64(1)<<62) }),
		"another range":               misbehaves(nil, registrytest.ShiftRange(1000)),
		"less than was asked for":     misbehaves(nil, registrytest.ClipRange(1000)),
		"several ranges": says(mismatch, "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n\r\n"+
			"--x\r\nContent-Range: bytes 0-1/2\r\n\r\nab\r\n--x--\r\n"),

		"a Content-Length that is too large": misbehaves(mismatch, registrytest.ContentLength(1000)),
		"a Content-Length that is too small": misbehaves(mismatch, registrytest.ContentLength(-1000)),
		"no Content-Length":                  misbehaves(nil, registrytest.NoContentLength()),
		"two Content-Lengths":                says(network, partial+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
		"a negative Content-Length":          says(network, partial+"Content-Length: -5\r\n\r\nhello"),
		"an absurd Content-Length":           says(mismatch, partial+"Content-Length: 9223372036854775807\r\n\r\nhello"),
		"a Content-Length beyond int64":      says(network, partial+"Content-Length: 99999999999999999999\r\n\r\nhello"),

		"bodies without end":             misbehaves(nil, registrytest.NoContentLength(), registrytest.Endless()),
		"a chunk's size without end":     goesOn(chunked, "0"),
		"trailers without end":           goesOn(chunked+"0\r\n", "X-Trailer: "+kilo+"\r\n"),
		"headers without end":            misbehaves(network, registrytest.EndlessHeaders(0).On()),
		"slow headers without end":       misbehaves(network, registrytest.EndlessHeaders(50*time.Millisecond)),
		"a header, byte by byte":         misbehaves(network, registrytest.Raw("HTTP/1.1 200 OK\r\nX-Slow: ", "x", time.Second)),
		"one header line without end":    goesOn("HTTP/1.1 200 OK\r\nX-Large: ", kilo),
		"a header of a megabyte":         misbehaves(network, registrytest.Header("X-Large", strings.Repeat("x", mib))),
		"interim answers without end":    goesOn("", interim),
		"an interim answer now and then": misbehaves(network, registrytest.Raw("", interim, 100*time.Millisecond)),

		"gzip":                  misbehaves(nil, registrytest.GzipEncoding()),
		"gzip for manifests":    misbehaves(nil, registrytest.GzipEncoding().On(registrytest.KindManifest)),
		"gzip for the transfer": says(network, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),

		"redirects in circles":       misbehaves(permanent, registrytest.RedirectLoop().On()),
		"a redirect to a file":       misbehaves(permanent, registrytest.RedirectTo("file:///etc/passwd")),
		"a redirect to ftp":          misbehaves(permanent, registrytest.RedirectTo("ftp://127.0.0.1/blob")),
		"a redirect to gopher":       misbehaves(permanent, registrytest.RedirectTo("gopher://127.0.0.1/blob")),
		"a redirect to a socket":     misbehaves(permanent, registrytest.RedirectTo("unix:///var/run/docker.sock")),
		"a redirect to nowhere":      misbehaves(permanent, registrytest.RedirectTo("")),
		"a redirect to rubbish":      misbehaves(permanent, registrytest.RedirectTo("http://[::1")),
		"a redirect with a password": misbehaves(network, registrytest.RedirectTo("http://admin:admin@127.0.0.1:1/blob")),
		"a redirect of a megabyte":   misbehaves(network, registrytest.RedirectTo("http://127.0.0.1:1/"+strings.Repeat("x", mib))),

		"401 in circles":                misbehaves(refused, registrytest.Bearer(registrytest.Auth{Lifetime: -1})),
		"tokens that expire at once":    misbehaves(refused, registrytest.Bearer(registrytest.Auth{Lifetime: 1})),
		"a realm that is not a URL":     misbehaves(permanent, registrytest.Bearer(registrytest.Auth{Realm: "::"})),
		"a realm that is a file":        misbehaves(permanent, registrytest.Bearer(registrytest.Auth{Realm: "file:///etc/passwd"})),
		"a challenge of nonsense":       misbehaves(refused, registrytest.All(registrytest.Status(401), registrytest.Header("WWW-Authenticate", `Bearer realm="`)).On()),
		"a token of a megabyte":         tokens(permanent, body(`{"token":"`+strings.Repeat("x", mib)+`"}`)),
		"a token that holds a header":   tokens(network, body(`{"token":"x\r\nX-Injected: y"}`)),
		"a token, nested deep":          tokens(permanent, body(strings.Repeat(`{"token":`, 10_000))),
		"a token without end":           tokens(permanent, registrytest.Raw("HTTP/1.1 200 OK\r\n\r\n", kilo, 0)),
		"no token at all":               tokens(network, registrytest.Hang()),
		"a token server that is busy":   tokens(network, registrytest.RetryAfter(429, "3600")),
		"a token server that redirects": tokens(permanent, registrytest.RedirectTo("http://127.0.0.1:1/")),

		"no answer at all":               misbehaves(network, registrytest.Hang().On()),
		"nothing":                        says(network, ""),
		"no HTTP":                        says(network, "SSH-2.0-OpenSSH_9.6\r\n"),
		"HTTP/0.9":                       says(network, "hello"),
		"HTTP/2":                         says(network, "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\xa0\x00\x00"),
		"another protocol":               says(network, switching),
		"another protocol, in silence":   misbehaves(network, registrytest.Raw(switching, "x", time.Hour)),
		"another protocol, byte by byte": misbehaves(network, registrytest.Raw(switching, "x", 10*time.Millisecond)),
		"orders to the terminal":         says(network, "HTTP/1.1 "+orders+" OK\r\n\r\n"),
		"an error of orders":             says(network, "HTTP/1.1 500 "+orders+"\r\nContent-Type: text/plain\r\n\r\n"+orders),
		"an error, nested deep":          says(network, "HTTP/1.1 500 Oh\r\n\r\n"+strings.Repeat(`{"errors":[`, 100_000)),
		"an error without end":           goesOn("HTTP/1.1 500 Oh\r\n\r\n", kilo),
		"an error, byte by byte":         misbehaves(refused, registrytest.Raw("HTTP/1.1 403 Oh\r\n\r\n", "x", 100*time.Millisecond)),
		"a success, byte by byte":        misbehaves(network, registrytest.Raw("HTTP/1.1 201 Created\r\n\r\n", "x", 100*time.Millisecond)),

		"no blob at all":            misbehaves(segpull.ErrNotFound, registrytest.Status(404)),
		"every status there is not": misbehaves(network, registrytest.Status(999)),
		"an empty 204":              misbehaves(network, registrytest.Status(204)),
		"a 204 with a body":         says(network, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
		"no manifest":               misbehaves(permanent, registrytest.ContentLength(-mib).On(registrytest.KindManifest)),
		"half a manifest":           misbehaves(permanent, registrytest.ContentLength(-100).On(registrytest.KindManifest)),
		"a 206 for manifests":       misbehaves(mismatch, registrytest.Status(206).On(registrytest.KindManifest)),
		"a 304":                     says(network, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
		"a 416":                     misbehaves(mismatch, registrytest.Status(416)),
		"patience for ever":         misbehaves(network, registrytest.RetryAfter(429, "99999999999")),
		"a Retry-After of nonsense": misbehaves(network, registrytest.RetryAfter(503, "-1e309")),

		"a trickle":                     misbehaves(errSlow, registrytest.Trickle(2000)),
		"a stall":                       misbehaves(network, registrytest.StallAfter(10*kib)),
		"a cut every 40 KiB":            misbehaves(nil, registrytest.CutAfter(40*kib)),
		"a connection for each request": misbehaves(nil, registrytest.Header("Connection", "close")),
		"another ETag each time":        misbehaves(nil, registrytest.Wrap(anotherETag)),
	}
}

func anotherETag(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf("%q", time.Now()))
		next.ServeHTTP(w, r)
	})
}

// TestAHostileMirrorBesideAnHonestOne pulls from a mirror that misbehaves, which is named
// first, and an honest one, which is so slow that segpull asks the other as well. The
// pull succeeds, and soon.
func TestAHostileMirrorBesideAnHonestOne(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib, 50*kib)
	for what, mirror := range misbehaviours() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 2, img)
			m.Servers[0].Misbehave(mirror.faults...)
			m.Servers[1].Throttle(600 * kib)
			began := time.Now()
			r := m.MustPull(t, segpull.Options{})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(m.Servers[0].Stats().Log) == 0 {
				t.Error("the hostile mirror was not asked")
			}
			if len(r.Corrupt) > 0 {
				t.Errorf("%q is called corrupt, and only fails", r.Corrupt)
			}
		})
	}
}

// TestAHostileMirrorAlone pulls only from such a mirror: the pull ends soon, with an error
// that is safe to print on a terminal, and the next pull succeeds when the mirror behaves.
func TestAHostileMirrorAlone(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib, 50*kib)
	for what, mirror := range misbehaviours() {
		if mirror.alone == errSlow {
			continue
		}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 1, img)
			m.Servers[0].Misbehave(mirror.faults...)
			out := filepath.Join(t.TempDir(), "app.tar")
			opts := segpull.Options{Output: out}
			if mirror.alone == segpull.ErrNetwork { // the others end without a limit
				opts.GiveUpAfter = 400 * time.Millisecond
			}
			began := time.Now()
			_, err := m.Pull(t, opts)
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			if mirror.alone != nil {
				pulltest.WantError(t, err, mirror.alone)
				pulltest.WantPlainWords(t, err.Error())
				if _, err := os.Stat(out); err == nil {
					t.Error("there is an output")
				}
				m.Servers[0].Misbehave()
				opts.GiveUpAfter = 0
				_, err = m.Pull(t, opts)
			}
			if err != nil {
				t.Fatal(err)
			}
			pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
		})
	}
}

// TestAHandshakeThatNeverEnds names first a host that accepts the connection and sends
// nothing.
func TestAHandshakeThatNeverEnds(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // its connections wait in the queue until then
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	at := "https://" + silent.Addr().String()
	r := m.MustPull(t, segpull.Options{Mirrors: []string{at, m.URLs[0]}})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
	_, err = m.Pull(t, segpull.Options{Mirrors: []string{at}, GiveUpAfter: 400 * time.Millisecond})
	pulltest.WantError(t, err, segpull.ErrNetwork)
}
