package servetest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// Eight clients ask for a cold blob, one after the other: it is fetched once, and each has
// its first byte long before the mirrors have sent it.
func TestManyClientsOneDownload(t *testing.T) {
	t.Parallel()
	f := start(t, 3, pulltest.ImageOf(1, 12*mib), noRace)
	for i, rate := range []int64{mib / 2, mib, 3 * mib / 2} {
		f.Servers[i].Throttle(rate)
	}
	f.learn(t)
	layer := f.img.Layers[0]
	want := layer.Bytes()
	var clients sync.WaitGroup
	for i := range int64(8) {
		clients.Go(func() {
			f.UntilServed(t, i*layer.Size/20)
			before := f.Served()
			a := f.get(t, blobPath(layer))
			if !bytes.Equal(a.body, want) {
				t.Errorf("client %d: %d bytes, %v", i, len(a.body), a.err)
			}
			if a.sent-before > layer.Size/2 {
				t.Errorf("client %d: the mirrors sent %d bytes before it had one", i, a.sent-before)
			}
		})
	}
	clients.Wait()
	f.wantOnce(t, layer)
	f.untilKept(t)
	if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, want) {
		t.Error("wrong bytes from the cache")
	}
	metrics := f.metrics(t)
	for _, want := range []string{
		`segpull_requests_total{kind="blob",registry="registry.example",cache="miss",code="200"} 1`,
		`segpull_requests_total{kind="blob",registry="registry.example",cache="shared",code="200"} 7`,
		`segpull_requests_total{kind="blob",registry="registry.example",cache="hit",code="200"} 1`,
		`segpull_cache_blobs 2`,
		`segpull_first_byte_seconds_count 10`,
		`segpull_fetched_bytes_total{source="` + f.Name(2) + `"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

func TestRangesOfARunningBlob(t *testing.T) {
	t.Parallel()
	f := start(t, 2, pulltest.ImageOf(1, 9*mib), nil)
	throttle := func(rate int64) {
		for _, s := range f.Servers {
			s.Throttle(rate)
		}
	}
	throttle(mib / 4)
	f.learn(t)
	layer := f.img.Layers[0]
	size := layer.Size
	var clients, soon sync.WaitGroup
	for _, test := range []struct {
		header     string
		start, end int64
		soon       bool
	}{
		{"bytes=0-0", 0, 1, true},
		{"bytes=4194304-4194403", 4 * mib, 4*mib + 100, true},
		{"bytes=2097152-2097153", 2 * mib, 2*mib + 2, true},
		{fmt.Sprintf("bytes=%d-", size-100), size - 100, size, false},
		{"bytes=-5", size - 5, size, false},
		{"bytes=3145728-", 3 * mib, size, false},
		{fmt.Sprintf("bytes=5242880-%d", 2*size), 5 * mib, size, false},
	} {
		wait := &clients
		if test.soon {
			wait = &soon
		}
		wait.Go(func() {
			a := f.do(t, "GET", blobPath(layer), "Range", test.header)
			want := fmt.Sprintf("bytes %d-%d/%d", test.start, test.end-1, size)
			if a.status != http.StatusPartialContent || a.header.Get("Content-Range") != want || !bytes.Equal(a.body, layer.Bytes()[test.start:test.end]) {
				t.Errorf("%s: %d, %q, %d bytes, %v", test.header, a.status, a.header.Get("Content-Range"), len(a.body), a.err)
			}
			if test.soon && a.sent > size/2 {
				t.Errorf("%s: the first byte came when the mirrors had sent %d of %d", test.header, a.sent, size)
			}
		})
	}
	a := f.do(t, "GET", blobPath(layer), "Range", fmt.Sprintf("bytes=%d-", size))
	a.wantError(t, "a range after the end", http.StatusRequestedRangeNotSatisfiable, "BLOB_UNKNOWN")
	soon.Wait()
	throttle(0)
	// Of a blob that is here, several ranges are multipart.
	for _, header := range [][]string{{"Range", "bytes=0-1,5-6"}, {"Range", "bytes=0-0", "If-Range", `"other"`}} {
		if a := f.get(t, blobPath(layer), header...); a.status != http.StatusOK || !bytes.Equal(a.body, layer.Bytes()) {
			t.Errorf("%q: %d, %d bytes", header, a.status, len(a.body))
		}
	}
	clients.Wait()
	if a := f.get(t, blobPath(layer), "Range", "bytes=10-19"); a.status != http.StatusPartialContent || !bytes.Equal(a.body, layer.Bytes()[10:20]) {
		t.Errorf("from the cache: %d, %d bytes", a.status, len(a.body))
	}
}

// HEAD tells the size of a blob that nobody has fetched, and asks no source for one that a
// manifest has named.
func TestHeadOfAColdBlob(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, mib), nil)
	f.learn(t)
	for _, b := range []registrytest.Blob{f.img.Layers[0], f.img.Config} {
		a := f.do(t, "HEAD", blobPath(b))
		if a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(b.Size) || a.header.Get("Docker-Content-Digest") != string(b.Digest) {
			t.Errorf("%d, %v", a.status, a.header)
		}
	}
	if n := f.Served(); n > 0 {
		t.Errorf("%d bytes were fetched", n)
	}
	other := pulltest.ImageOf(2, mib)
	f.Servers[0].Push(pulltest.Repo, "2", other)
	if a := f.do(t, "HEAD", blobPath(other.Layers[0])); a.header.Get("Content-Length") != fmt.Sprint(other.Layers[0].Size) {
		t.Errorf("no manifest named it: %d, %v", a.status, a.header)
	}
	if a := f.get(t, blobPath(other.Layers[0])); !bytes.Equal(a.body, other.Layers[0].Bytes()) {
		t.Errorf("no manifest named it: %d bytes", len(a.body))
	}
}

// The headers of a blob do not wait for the mirrors.
func TestHeadersDoNotWait(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, mib), nil)
	f.learn(t)
	f.Servers[0].Misbehave(registrytest.Hang())
	began := time.Now()
	resp := f.open(t, "GET", blobPath(f.img.Layers[0]))
	defer resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != 200 || resp.ContentLength != f.img.Layers[0].Size || took > soonEnough {
		t.Errorf("%d with %d bytes after %v", resp.StatusCode, resp.ContentLength, took)
	}
}

// A client that leaves does not end the download.
func TestAClientLeaves(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 2*mib), noRace)
	f.Servers[0].Throttle(2 * mib)
	f.learn(t)
	layer := f.img.Layers[0]
	resp := f.open(t, "GET", blobPath(layer))
	_, _ = io.ReadFull(resp.Body, make([]byte, 64*kib))
	resp.Body.Close()
	f.UntilServed(t, layer.Size)
	if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, layer.Bytes()) {
		t.Errorf("%d bytes", len(a.body))
	}
	f.wantOnce(t, layer)
}

// Clients that want a part of their range reset the connection, as containerd does that
// fetches in chunks. That is no trouble.
func TestClientsReset(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 8*mib), func(o *segpull.ServerOptions) { o.VerifiedOnly = true })
	f.learn(t)
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.(*net.TCPConn).SetLinger(0) // Close resets
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-\r\n\r\n", blobPath(f.img.Layers[0]))
			if _, err := io.ReadFull(conn, make([]byte, mib)); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	f.get(t, blobPath(f.img.Layers[0]))
	f.stop()
	if log := f.log.String(); strings.Contains(log, "cut off") {
		t.Errorf("the log has\n%s", log)
	}
}

// A mirror sends wrong bytes: clients get the right ones, or are cut off, and the log says
// who did.
func TestWrongBytesAreNeverComplete(t *testing.T) {
	t.Parallel()
	img := pulltest.TextImage(t, 1, 3*mib)
	for about, test := range map[string]struct {
		mirrors  int
		edit     func(*segpull.ServerOptions)
		complete bool
	}{
		"of one of two":                {2, nil, false},
		"of one of two, verified only": {2, func(o *segpull.ServerOptions) { o.VerifiedOnly = true }, true},
		"of the only mirror":           {1, nil, false},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			f := start(t, test.mirrors, img, test.edit)
			for _, s := range f.Servers {
				s.Throttle(mib)
			}
			layer := f.img.Layers[0]
			f.Servers[0].Misbehave(registrytest.Flip(0, layer.Size))
			f.learn(t)
			var clients sync.WaitGroup
			for i := range 6 {
				clients.Go(func() {
					header := []string{}
					want := layer.Bytes()
					if i%2 == 1 {
						header, want = []string{"Range", "bytes=1048576-"}, want[mib:]
					}
					a := f.do(t, "GET", blobPath(layer), header...)
					if complete := a.status < 300 && a.err == nil; complete && !bytes.Equal(a.body, want) || !complete && test.complete {
						t.Errorf("client %d: %d, %d bytes, %v", i, a.status, len(a.body), a.err)
					}
				})
			}
			clients.Wait()
			if test.mirrors > 1 {
				if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, layer.Bytes()) {
					t.Errorf("afterwards: %d, %d bytes, %v", a.status, len(a.body), a.err)
				}
			}
			if got := f.log.String(); !regexp.MustCompile(f.Name(0) + " serve[sd] wrong bytes (and is not used for 1h0m0s|and stays in use|of sha256:[0-9a-f]{64}: segpull tries once more)").MatchString(got) {
				t.Errorf("the log does not name the mirror:\n%s", got)
			}
		})
	}
}

// A server that ends in the middle keeps what has arrived.
func TestTheNextServerContinues(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 6*mib), nil)
	f.Servers[0].Throttle(2 * mib)
	f.learn(t)
	layer := f.img.Layers[0]
	resp := f.open(t, "GET", blobPath(layer))
	defer resp.Body.Close()
	n, _ := io.ReadFull(resp.Body, make([]byte, mib))
	f.server.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer ended as if it were complete")
	}
	f.Servers[0].Throttle(0)
	f.restart(t, nil)
	a := f.get(t, blobPath(layer), "Range", fmt.Sprintf("bytes=%d-", n))
	if !bytes.Equal(a.body, layer.Bytes()[n:]) {
		t.Errorf("%d bytes after %d", len(a.body), n)
	}
	if twice := f.SentOf(layer) - layer.Size; twice > 2*mib {
		t.Errorf("%d bytes came twice", twice)
	}
}

// A pull and a server share a cache, and fetch each blob once. A client gets what the pull
// fetches while it arrives.
func TestAPullAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 4*mib), noRace)
	f.Servers[0].Throttle(mib)
	layer := f.img.Layers[0]
	pulled := make(chan error, 1)
	go func() {
		_, err := f.Pull(t, segpull.Options{CacheDir: f.dir, NoRace: true})
		pulled <- err
	}()
	f.UntilServed(t, mib)
	f.learn(t)
	if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, layer.Bytes()) || a.headers > soonEnough || a.sent >= layer.Size {
		t.Errorf("%d bytes, the headers after %v, the first byte when the mirror had sent %d", len(a.body), a.headers, a.sent)
	}
	pulltest.Must(t, <-pulled)
	f.wantOnce(t, layer)
}

// A blob that is larger than the cache is served, and does not stay.
func TestABlobThatIsLargerThanTheCache(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 2*mib, 100*kib), func(o *segpull.ServerOptions) { o.CacheSize = mib })
	f.learn(t)
	for _, layer := range f.img.Layers {
		if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, layer.Bytes()) {
			t.Errorf("%d bytes of %d", len(a.body), layer.Size)
		}
	}
	f.untilKept(t)
	if metrics := f.metrics(t); !strings.Contains(metrics, "segpull_cache_blobs 2") {
		t.Errorf("the small layer and the manifest should stay:\n%s", metrics)
	}
}

// Blobs are 404, at once where no source can be reached or has them.
func TestBlobsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	soon := func(o *segpull.ServerOptions) { o.GiveUpAfter = 10 * time.Second }
	f := start(t, 2, pulltest.ImageOf(1, mib, 2*mib, 3*mib), soon)
	f.learn(t)
	for _, s := range f.Servers {
		s.Misbehave(registrytest.Status(404).Of(f.img.Layers[0].Digest), registrytest.RetryAfter(429, "7").Of(f.img.Layers[1].Digest))
	}
	// The mirrors have a moment to say so before the client has headers. On a slow machine
	// they may miss it: then the client is cut off when the server gives up.
	wantError := func(about string, i, status int, code string) (a answer, late bool) {
		if a = f.do(t, "GET", blobPath(f.img.Layers[i])); a.status == http.StatusOK && a.err != nil {
			return a, true
		}
		a.wantError(t, about, status, code)
		return a, false
	}
	wantError("nobody has it", 0, 404, "BLOB_UNKNOWN")
	f.do(t, "GET", path+"/manifests/1"+ns).wantError(t, "a manifest whose layer nobody has", 404, "MANIFEST_UNKNOWN")
	a, late := wantError("all are busy", 1, 429, "TOOMANYREQUESTS")
	if !late && a.header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	f.restart(t, soon)
	f.die()
	wantError("nobody can be reached", 2, 404, "BLOB_UNKNOWN")
	unknown := strings.Repeat("0", 64)
	f.do(t, "GET", path+"/blobs/sha256:"+unknown+ns).wantError(t, "nobody knows it", 404, "BLOB_UNKNOWN")
}
