package sources

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/image"
)

// Dissent is a source that resolves a tag to another digest.
type Dissent struct {
	Source string
	Digest digest.Digest
}

// Dissents asks every other source that is trusted for tags what ref's tag
// means, and calls tell for those with another digest than want, one at a time, as
// they answer. It asks only for their digest, not for the manifest, and skips
// sources that fail or give no digest, and those whose answer was rejected. It
// returns when all have answered, or ctx ends.
func (s *Set) Dissents(ctx context.Context, ref image.Reference, want digest.Digest, tell func(Dissent)) {
	var asking sync.WaitGroup
	var one sync.Mutex
	state := s.tags.of(ref)
	for _, source := range s.askable(state) {
		if source == state.resolver {
			continue
		}
		asking.Go(func() {
			claimed, err := source.client.Claim(ctx, ref.Repository, ref.Tag)
			if err != nil || claimed == "" || claimed == want || ctx.Err() != nil {
				return
			}
			one.Lock()
			defer one.Unlock()
			tell(Dissent{source.Name(), claimed})
		})
	}
	asking.Wait()
}
