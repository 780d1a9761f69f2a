package upstream

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/serve"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
)

// Server implements serve.Upstream by Mirrors with a cache. Its methods which are not
// described here are those of the interface.
type Server struct {
	mirrors *Mirrors
	served  sources.Server

	mu      sync.Mutex // guards what follows
	running []*transfer.Transfer
	fetched map[string]int64 // bytes by source, of transfers that have ended
}

// NewServer returns the upstream of a server that serves what served says.
func NewServer(m *Mirrors, served sources.Server) *Server {
	return &Server{mirrors: m, served: served, fetched: make(map[string]int64)}
}

func (s *Server) Serves(registry string) bool { return s.served.Serves(registry) }

// set returns the sources of a reference: those for its tags, also if it has a digest.
func (s *Server) set(ref image.Reference) (*sources.Set, error) {
	ref.Digest = ""
	return s.mirrors.Set(ref)
}

// Check returns why no source for images of a registry is usable.
func (s *Server) Check(registry string) error {
	_, err := s.set(image.Reference{Registry: registry})
	return err
}

func (s *Server) Claim(ctx context.Context, ref image.Reference) (digest.Digest, string, error) {
	set, err := s.set(ref)
	if err != nil {
		return "", "", err
	}
	return set.Claim(ctx, ref)
}

func (s *Server) Manifest(ctx context.Context, ref image.Reference) (mediaType string, body []byte, source string, err error) {
	set, err := s.set(ref)
	if err != nil {
		return "", nil, "", err
	}
	d, body, err := set.Fetch(ctx, ref, ocispec.Descriptor{Digest: ref.Digest})
	if err != nil {
		return "", nil, "", err
	}
	return d.MediaType, body, set.Resolver(ref), s.mirrors.opts.Limits.All().Charge(ctx, int64(len(body)))
}

func (s *Server) Reject(ref image.Reference, reason error) (more bool) {
	set, err := s.set(ref)
	if err != nil {
		return false
	}
	_, more = s.mirrors.Fetcher(set).Reject(ref, reason)
	return more
}

func (s *Server) Size(ctx context.Context, ref image.Reference) (int64, error) {
	set, err := s.set(ref)
	if err != nil {
		return 0, err
	}
	return set.Size(ctx, ref)
}

func (s *Server) Transfer(ref image.Reference) (*transfer.Transfer, []string, error) {
	set, err := s.set(ref)
	if err != nil {
		return nil, nil, err
	}
	opts := s.mirrors.Transfer(set, ref)
	opts.KeepOpen, opts.Scratch = true, s.mirrors.opts.Cache.Scratch
	t := transfer.New(opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, t)
	return t, opts.Names(), nil
}

func (s *Server) Ended(t *transfer.Transfer) {
	_ = t.History().Save(s.mirrors.opts.HistoryFile) // it only helps the next transfer
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = slices.DeleteFunc(s.running, func(r *transfer.Transfer) bool { return r == t })
	for _, src := range t.Sources() {
		s.fetched[src.Name] += src.Bytes
	}
}

func (s *Server) Via(ctx context.Context, via string) context.Context {
	return sources.WithVia(ctx, via)
}

// WriteMetrics writes what sources have sent in the text format of Prometheus.
func (s *Server) WriteMetrics(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fetched, rates := maps.Clone(s.fetched), make(map[string]float64)
	for _, t := range s.running {
		for _, src := range t.Sources() {
			fetched[src.Name] += src.Bytes
			rates[src.Name] += src.Rate
		}
	}
	serve.Metric(w, "segpull_fetched_bytes_total", "counter", "Bytes of blobs that a source has sent.")
	for _, name := range slices.Sorted(maps.Keys(fetched)) {
		fmt.Fprintf(w, "segpull_fetched_bytes_total{source=%q} %d\n", name, fetched[name])
	}
	serve.Metric(w, "segpull_source_bytes_per_second", "gauge", "Rate of a source now.")
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		fmt.Fprintf(w, "segpull_source_bytes_per_second{source=%q} %g\n", name, rates[name])
	}
	serve.Metric(w, "segpull_corrupt_sources", "gauge", "Whether a source is excluded because it has sent wrong bytes.")
	for _, name := range s.mirrors.Corrupt() {
		fmt.Fprintf(w, "segpull_corrupt_sources{source=%q} 1\n", name)
	}
}
