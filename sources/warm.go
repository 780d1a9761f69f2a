package sources

import (
	"context"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registry"
)

// Warm opens connections to every source at the same time, so that requests for
// blobs need not wait for them, and fetches the tokens that these requests need.
// connections returns how many are opened to a source in any case, and how many at
// the most to a source that is far away. Warm returns at once; Close ends it. It is
// called once for each repository, and not at the same time as Close.
//
// The source that Fetch asks first for ref answers its challenge in Fetch.
func (s *Set) Warm(ctx context.Context, ref image.Reference, connections func(*Source) (first, most int)) {
	ctx, cancel := context.WithCancel(ctx)
	s.stops = append(s.stops, cancel)
	asked := s.sources
	if ref.Digest == "" {
		asked = s.trusted()
	}
	for _, source := range s.sources {
		first, most := connections(source)
		n := registry.Connections{First: first, Most: most, Sources: len(s.sources)}
		s.warming.Go(func() {
			source.client.Warm(ctx, ref.Repository, n, len(asked) > 0 && source != asked[0])
		})
	}
}

// Warmed returns how many connections Warm has opened to the source, and how long a
// round trip took; 0 where it is not known.
func (s *Source) Warmed() (connections int, roundTrip time.Duration) { return s.client.Warmed() }
