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
// means, and hands those that do not say want to tell, one at a time, as they
// answer. They are asked for their claim alone, not for the manifest; sources
// that fail or claim nothing are left out, and so are those whose answer was
// rejected. It returns when all have answered, or ctx ends.
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
