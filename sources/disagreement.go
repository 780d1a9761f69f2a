package sources

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/image"
)

// Disagreement is a source that resolves a tag to another digest.
type Disagreement struct {
	Source string
	Digest digest.Digest
}

// Disagreements asks all sources that are trusted for tags, except the one that
// resolved ref's tag, for the digest of the tag (by HEAD), and calls report for
// each digest that is not want: one call at a time, as the answers arrive. It skips
// sources that fail, that give no digest, or that Reject excluded. It returns when
// all sources have answered, or ctx ends.
func (s *Set) Disagreements(ctx context.Context, ref image.Reference, want digest.Digest, report func(Disagreement)) {
	var asking sync.WaitGroup
	var one sync.Mutex
	state := s.tags.of(ref)
	for _, source := range s.askable(state) {
		if source == state.resolver {
			continue
		}
		asking.Go(func() {
			claimed, err := source.client.Claim(ctx, source.repository(ref.Repository), ref.Tag)
			if err != nil || claimed == "" || claimed == want || ctx.Err() != nil {
				return
			}
			one.Lock()
			defer one.Unlock()
			report(Disagreement{source.Name(), claimed})
		})
	}
	asking.Wait()
}
