package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestBlobRange(t *testing.T) {
	server, _ := serve(t, false, blobServer)
	c := client(t, server.URL)
	size := int64(len(content))
	for _, r := range [][2]int64{{0, 1}, {0, size}, {100, 5000}, {size - 1, size}} {
		s, err := c.Blob(t.Context(), "a", contentDescriptor(), r[0], r[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(s.Body)
		s.Body.Close()
		if s.Start != r[0] || s.End != r[1] || err != nil || !bytes.Equal(got, content[r[0]:r[1]]) {
			t.Errorf("%v: got %d-%d, %d bytes, %v", r, s.Start, s.End, len(got), err)
		}
	}
}

func TestBlobInvalidRange(t *testing.T) {
	c := client(t, "http://nobody.test")
	size := int64(len(content))
	for _, r := range [][2]int64{{-1, 5}, {5, 5}, {6, 5}, {0, size + 1}} {
		_, err := c.Blob(t.Context(), "a", contentDescriptor(), r[0], r[1])
		asError(t, err)
	}
	s, err := c.Blob(t.Context(), "a", ocispec.Descriptor{Digest: contentDescriptor().Digest}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, s.Body); n != 0 || err != nil {
		t.Errorf("an empty blob: %d bytes, %v", n, err)
	}
}

// What a server may answer to bytes 16-31, and what is made of it.
func TestBlobAnswers(t *testing.T) {
	size := len(content)
	answer := func(code int, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			w.(http.Flusher).Flush()     // chunked, unless a length was set
			_, _ = w.Write([]byte(body)) // as one chunk
		}
	}
	part, whole := string(content[16:32]), string(content)
	for name, test := range map[string]struct {
		answer   http.HandlerFunc
		start    int64
		want     string
		err      string
		mismatch bool
	}{
		"as asked":              {answer: answer(206, part, "Content-Range", fmt.Sprintf("bytes 16-31/%d", size)), start: 16, want: part},
		"total unknown":         {answer: answer(206, part, "Content-Range", "bytes 16-31/*"), start: 16, want: part},
		"Nexus":                 {answer: answer(206, part, "Content-Range", fmt.Sprintf("16-31/%d", size)), start: 16, want: part},
		"identity":              {answer: answer(206, part, "Content-Range", "bytes 16-31/*", "Content-Encoding", "identity"), start: 16, want: part},
		"more than promised":    {answer: answer(206, part+"more", "Content-Range", "bytes 16-31/*"), start: 16, want: part},
		"range ignored":         {answer: answer(200, whole), want: whole},
		"range ignored, length": {answer: answer(200, whole, "Content-Length", fmt.Sprint(size)), want: whole},

		"clipped":            {answer: answer(206, part[:5], "Content-Range", "bytes 16-20/*"), start: 16, want: part[:5]},
		"begins earlier":     {answer: answer(206, whole[10:32], "Content-Range", "bytes 10-31/*"), start: 16, want: part},
		"200 that is a part": {answer: answer(200, part, "Content-Range", "bytes 16-31/*", "Content-Length", "16"), start: 16, want: part},
		"200 with a range":   {answer: answer(200, whole, "Content-Range", fmt.Sprintf("bytes 0-%d/*", size-1)), want: whole},

		"shorter than promised": {answer: answer(206, part[:5], "Content-Range", "bytes 16-31/*"), start: 16, want: part[:5], err: "unexpected EOF"},
		"whole, shorter":        {answer: answer(200, whole[:99]), want: whole[:99], err: "the blob has 99 bytes"},

		"other start":        {answer: answer(206, part, "Content-Range", "bytes 0-15/*"), err: "Content-Range", mismatch: true},
		"other total":        {answer: answer(206, part, "Content-Range", "bytes 16-31/77"), err: "Content-Range", mismatch: true},
		"no Content-Range":   {answer: answer(206, part), err: "Content-Range", mismatch: true},
		"206 of other bytes": {answer: answer(206, part, "Content-Range", "bytes 16-31/*", "Content-Length", "20"), err: "Content-Range", mismatch: true},
		"200 of other size":  {answer: answer(200, part, "Content-Length", "16"), err: "the blob has 16 bytes, the manifest 65536", mismatch: true},
		"empty":              {answer: answer(200, "", "Content-Length", "0"), err: "the blob has 0 bytes", mismatch: true},
		"compressed":         {answer: answer(206, part, "Content-Range", "bytes 16-31/*", "Content-Encoding", "gzip"), err: "Content-Range", mismatch: true},
		"416":                {answer: answer(416, "", "Content-Range", "bytes */0"), err: "416", mismatch: true},
		"web page":           {answer: answer(200, "<html>log in", "Content-Type", "text/html"), err: "web page: log in"},
		"web page, length":   {answer: answer(200, "<html>", "Content-Type", "text/html", "Content-Length", "6"), err: "web page"},
		"204":                {answer: answer(204, ""), err: "204"},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, false, test.answer)
			s, err := client(t, server.URL).Blob(t.Context(), "a", contentDescriptor(), 16, 32)
			if err != nil {
				if e := asError(t, err); test.err == "" || !strings.Contains(e.Error(), test.err) || e.Mismatch() != test.mismatch {
					t.Errorf("got %v, mismatch %v", e, e.Mismatch())
				}
				return
			}
			defer s.Body.Close()
			got, err := io.ReadAll(s.Body)
			if s.Start != test.start || string(got) != test.want {
				t.Errorf("got %d bytes from %d on", len(got), s.Start)
			}
			if (err != nil) != (test.err != "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}

// A host that does not serve a range is asked for the whole blob, and for no
// range again.
func TestUselessRangesAreNotAskedForAgain(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"400": status(400), "403": status(403), "416": status(416), "501": status(501),
		"no Content-Range": status(206),
		"another total":    status(206, "Content-Range", "bytes 16-31/77"),
		"several parts":    status(206, "Content-Type", "multipart/byteranges; boundary=x"),
	} {
		t.Run(name, func(t *testing.T) {
			server, rec := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Range") != "" {
					answer(w, req)
					return
				}
				blobServer(w, req)
			})
			c := client(t, server.URL)
			for range 2 {
				got, err := fetchBlob(t, c, 16, 32)
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
			var ranges []string
			for _, req := range rec.requests() {
				if req.URL.Path != "/v2/" { // where a challenge might be
					ranges = append(ranges, req.Header.Get("Range"))
				}
			}
			if want := []string{"bytes=16-31", "", ""}; !slices.Equal(ranges, want) {
				t.Errorf("asked for %q, want %q", ranges, want)
			}
		})
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"206": blobServer,
		"206, chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-15/*")
			w.WriteHeader(http.StatusPartialContent)
			w.(http.Flusher).Flush()
			_, _ = w.Write(content[:16])
		},
		"an error with a body": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, strings.Repeat("no ", 100), 404) },
	} {
		t.Run(name, func(t *testing.T) {
			server, rec := serve(t, false, handler)
			c := client(t, server.URL)
			for range 5 {
				_, _ = fetchBlob(t, c, 0, 16)
			}
			conns := map[string]bool{}
			for _, req := range rec.requests() {
				conns[req.RemoteAddr] = true
			}
			// A chunked body's end may arrive after its last byte was read.
			if len(conns) > 1 && !strings.Contains(name, "chunked") {
				t.Errorf("%d connections for 5 requests", len(conns))
			}
		})
	}
}

// stalling sends headers and a first byte, and then nothing until it is let go.
func stalling(t *testing.T, contentLength int) *httptest.Server {
	server, _ := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(contentLength))
		_, _ = w.Write(content[:1])
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	})
	return server
}

func TestCloseDoesNotDrain(t *testing.T) {
	c := client(t, stalling(t, len(content)).URL)
	s, err := c.Blob(t.Context(), "a", contentDescriptor(), 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Body.Close()
	if d := time.Since(began); d > time.Second {
		t.Errorf("Close took %v", d)
	}
	if _, err := s.Body.Read(make([]byte, 1)); err == nil {
		t.Error("read after Close")
	}
}

func TestBodyObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, stalling(t, len(content)).URL)
	s, err := c.Blob(ctx, "a", contentDescriptor(), 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Body.Close()
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := io.ReadAll(s.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Of requests that a store refuses for their ranges at the same time, one asks
// for the whole blob.
func TestOneRequestAsksForTheWhole(t *testing.T) {
	var refused sync.WaitGroup
	refused.Add(8)
	server, seen := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Range") == "" {
			blobServer(w, req)
			return
		}
		refused.Done()
		refused.Wait() // until all are there
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	})
	c := client(t, server.URL)
	var streams atomic.Int32
	var asking sync.WaitGroup
	for i := range int64(8) {
		asking.Go(func() {
			if s, err := c.Blob(t.Context(), "a", contentDescriptor(), i, i+16); err == nil {
				streams.Add(1)
				s.Body.Close()
			} else if e := asError(t, err); e.Permanent() || e.Mismatch() {
				t.Errorf("got %v", e)
			}
		})
	}
	asking.Wait()
	if n := len(seen.requests()); streams.Load() != 1 || n != 9 {
		t.Errorf("%d streams, %d requests", streams.Load(), n)
	}
}

func TestRememberedRedirectsAreBounded(t *testing.T) {
	var r redirects
	var last digest.Digest
	for i := range 3 * mostRedirects {
		last = digest.FromString(fmt.Sprint(i))
		r.set(last, &place{})
	}
	if r.get(last) == nil || len(r.at) > mostRedirects {
		t.Errorf("%d redirects", len(r.at))
	}
}
