package registrytest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Stats are the statistics of a server.
type Stats struct {
	Requests   map[Kind]int
	Statuses   map[int]int             // answers by status
	Bytes      int64                   // of blob bodies, written with status 200 or 206
	Blobs      map[digest.Digest]int64 // the same, by blob
	Concurrent int                     // most blob requests at once
	Log        []Request               // every request, in order of arrival
}

// Request is a request, and its answer so far.
type Request struct {
	Kind       Kind
	Method     string
	Path       string
	Query      string
	Repository string      // as in the path
	Reference  string      // tag or digest
	Remote     string      // the client's address, other for each connection
	Header     http.Header // as received
	Range      string      // as asked for
	Start, End int64       // of one range bytes=a-b or bytes=a-: [Start,End); 0,0 if none

	Status    int // 0: no answer yet, or none at all
	Bytes     int64
	Arrived   time.Time
	FirstByte time.Time // of the answer's header
	Done      time.Time // of the answer's last byte; zero before
}

// Stats returns a copy of the statistics.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{
		Requests:   map[Kind]int{},
		Statuses:   map[int]int{},
		Blobs:      map[digest.Digest]int64{},
		Concurrent: s.most,
	}
	for _, ex := range s.log {
		stats.Log = append(stats.Log, ex.Request)
		stats.Requests[ex.Kind]++
		if ex.Status != 0 {
			stats.Statuses[ex.Status]++
		}
		if ex.blobBody() {
			stats.Bytes += ex.Bytes
			stats.Blobs[ex.blob.Digest] += ex.Bytes
		}
	}
	return stats
}

// ResetStats resets the statistics. Requests that are being answered do not count any
// more.
func (s *Server) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.most = nil, s.active
}

// exchange is a request that is being answered. The server's lock guards the log entry
// and blob; only the handler's goroutine uses offset.
type exchange struct {
	Request
	server   *Server
	resource Kind // as Kind, for HEAD too
	name     string
	blob     Blob            // asked for; zero if there is none
	life     context.Context // of the server
	offset   int64           // in the blob, of the body's first byte
	atEnd    []func()
}

// end ends the exchange before the last byte is sent: when a client has that byte, its
// next request must not count as concurrent, however late the handler returns.
func (ex *exchange) end() {
	for _, f := range ex.atEnd {
		f()
	}
	ex.atEnd = nil
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// isBlob reports whether a GET is for a blob, here or as the CDN.
func (ex *exchange) isBlob() bool { return ex.Kind == KindBlob || ex.Kind == KindCDN }

func (ex *exchange) blobBody() bool {
	return ex.isBlob() && (ex.Status == http.StatusOK || ex.Status == http.StatusPartialContent)
}

func (s *Server) arrive(r *http.Request) *exchange {
	ex := &exchange{
		server: s,
		Request: Request{
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Remote: r.RemoteAddr,
			Header: r.Header.Clone(), Range: r.Header.Get("Range"), Arrived: time.Now(),
		},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identify(ex, r)
	ex.life = s.life
	s.log = append(s.log, ex)
	ex.atEnd = []func(){func() { s.leave(ex) }}
	return ex
}

// identify finds the kind of a request by its path.
func (s *Server) identify(ex *exchange, r *http.Request) {
	kind, name, reference := route(r.URL.Path)
	ex.Kind, ex.resource = kind, kind
	ex.Repository, ex.name, ex.Reference = name, s.withoutPrefix(name), reference
	ex.blob = s.lookUp(kind, ex.name, reference)
	if r.Method == http.MethodHead {
		ex.Kind = KindHead
	}
	if start, end, ok := parseRange(r, ex.blob.Size); ok {
		ex.Start, ex.End = start, end
	}
	if ex.isBlob() {
		s.active++
		s.most = max(s.most, s.active)
	}
}

// reroute identifies a request again after a fault has changed its path.
func (s *Server) reroute(ex *exchange, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identify(ex, r)
}

func (s *Server) leave(ex *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ex.Done = time.Now()
	if ex.isBlob() {
		s.active--
	}
	if ex.blobBody() && ex.Bytes == ex.blob.Size {
		s.whole[ex.blob.Digest] = true
	}
}

// served reports whether the blob has been sent completely.
func (s *Server) served(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole[d]
}

// withoutPrefix returns the repository's name in the content, or an unknown name if the
// path does not have the prefix.
func (s *Server) withoutPrefix(name string) string {
	if s.Prefix == "" {
		return name
	}
	rest, _ := strings.CutPrefix(name, s.Prefix+"/")
	if rest == name {
		return ""
	}
	return rest
}
