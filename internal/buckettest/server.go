// Package buckettest is a server of S3 for tests, in memory, that misbehaves on demand. It is
// gofakes3, and refuses conditional requests as Amazon does.
package buckettest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const (
	// Bucket is the only bucket.
	Bucket = "blobs"
	// Secret is the key by which requests are signed. It must be nowhere else.
	Secret = "a-secret-key-of-tests"
)

var credentials sync.Once

// Fault answers a request, or passes it on to next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Server is a server of S3 with one bucket. It is safe for concurrent use.
type Server struct {
	address string
	backend gofakes3.Backend
	ahead   atomic.Int64 // of the clock of this machine, in ns
	puts    sync.Mutex   // makes a condition and its put one step

	fault atomic.Pointer[Fault]
	sent  atomic.Int64 // bytes of blobs

	mu       sync.Mutex // guards what follows
	requests []string
}

// Start starts a server whose clock is ahead by skew, and puts credentials into the
// environment of the process. It stops with the test.
func Start(t testing.TB, skew time.Duration) *Server {
	t.Helper()
	credentials.Do(func() {
		os.Setenv("AWS_ACCESS_KEY_ID", "tester")
		os.Setenv("AWS_SECRET_ACCESS_KEY", Secret)
	})
	s := &Server{}
	s.Advance(skew)
	now := gofakes3.TimeSource(clock{&s.ahead})
	s.backend = s3mem.New(s3mem.WithTimeSource(now))
	if err := s.backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	objects := gofakes3.New(s.backend, gofakes3.WithTimeSource(now), gofakes3.WithTimeSkewLimit(0)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, objects)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.address = server.URL
	return s
}

// URL returns the URL of a prefix in the bucket, for the configuration.
func (s *Server) URL(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s", Bucket, prefix, s.address)
}

// Misbehave makes all further requests pass through a fault; nil: none.
func (s *Server) Misbehave(f Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Advance sets the clock of the server forward: claims end sooner.
func (s *Server) Advance(by time.Duration) { s.ahead.Add(int64(by)) }

// Requests returns the requests so far, as METHOD KEY, with ?query if there is one.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Sent returns how many bytes of blobs clients have got.
func (s *Server) Sent() int64 { return s.sent.Load() }

// Keys returns the names of all objects that begin with prefix.
func (s *Server) Keys(t testing.TB, prefix string) (keys []string) {
	t.Helper()
	list, err := s.backend.ListBucket(Bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		if strings.HasPrefix(o.Key, prefix) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// Put puts an object.
func (s *Server) Put(t testing.TB, key string, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.address+"/"+Bucket+"/"+key, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("put %s: %v, %v", key, resp, err)
	}
	resp.Body.Close()
}

// Get returns the bytes of an object.
func (s *Server) Get(t testing.TB, key string) []byte {
	t.Helper()
	o, err := s.backend.GetObject(Bucket, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Contents.Close()
	body, err := io.ReadAll(o.Contents)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, objects http.Handler) {
	s.mu.Lock()
	request := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/"+Bucket+"/")
	if r.URL.RawQuery != "" {
		request += "?" + r.URL.RawQuery
	}
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	w.Header().Set("Date", clock{&s.ahead}.Now().UTC().Format(http.TimeFormat))
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.conditional(w, r, objects) })
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/sha256/") {
		w = &counted{w, &s.sent}
	}
	if fault := s.fault.Load(); fault != nil {
		(*fault)(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// conditional checks the condition of the last request for an object of several parts, which
// gofakes3 does not.
func (s *Server) conditional(w http.ResponseWriter, r *http.Request, objects http.Handler) {
	if r.Header.Get("If-None-Match") == "*" || r.Header.Get("If-Match") != "" {
		s.puts.Lock()
		defer s.puts.Unlock()
	}
	if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") && r.Header.Get("If-None-Match") == "*" {
		if _, err := s.backend.HeadObject(Bucket, strings.TrimPrefix(r.URL.Path, "/"+Bucket+"/")); err == nil {
			Answer(http.StatusPreconditionFailed, "PreconditionFailed")(w, r, nil)
			return
		}
	}
	objects.ServeHTTP(w, r)
}

type counted struct {
	http.ResponseWriter
	sent *atomic.Int64
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Write implements io.Writer.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// clock implements gofakes3.TimeSource.
type clock struct{ ahead *atomic.Int64 }

func (c clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }
