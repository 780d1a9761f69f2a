package sources

import (
	"context"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registry"
)

// Start says how Warm prepares a source.
type Start struct {
	// Connections are opened in any case, and Most at the most to a source that is
	// far away.
	Connections, Most int
	// Token asks for the token of requests for blobs, which takes a request or two.
	Token bool
}

// Warm opens connections to every source at the same time, so that requests for
// blobs need not wait for them, and fetches the tokens that these requests need.
// Warm returns at once; Close ends it. It is called once for each repository, and
// not at the same time as Close.
//
// The source that Fetch asks first for ref answers its challenge in Fetch.
func (s *Set) Warm(ctx context.Context, ref image.Reference, start func(*Source) Start) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.stops = append(s.stops, cancel)
	s.mu.Unlock()
	asked := s.sources
	if ref.Digest == "" {
		asked = s.trusted()
	}
	for _, source := range s.sources {
		as := start(source)
		n := registry.Connections{First: as.Connections, Most: as.Most, Sources: len(s.sources)}
		s.warming.Go(func() {
			source.client.Warm(ctx, source.repository(ref.Repository), n, as.Token && len(asked) > 0 && source != asked[0])
		})
	}
}

// Warmed returns how many connections Warm has opened to the source, and how long a
// round trip took; 0 where it is not known.
func (s *Source) Warmed() (connections int, roundTrip time.Duration) { return s.client.Warmed() }
