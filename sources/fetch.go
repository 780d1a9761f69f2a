package sources

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

const (
	// headStart is how long a source is asked alone before the next is asked
	// too.
	headStart = time.Second
	// precedence is how long the answer of a later source waits for those
	// named before it.
	precedence = 5 * time.Second
)

// Fetch returns a manifest or index with its computed descriptor.
//
// With want.Digest "" it asks by ref's tag the sources that are trusted for
// tags, and the first-named that answers has the word. Each starts when the
// one before it failed or was silent for 1 s, so that a dead one costs little.
// An answer waits for sources named earlier until they fail, or until 5 s
// after the first request; from then on the first-named of those that have
// answered counts, and what comes first if none has.
//
// Otherwise any source will do, starting with the one that resolved the tag,
// and the bytes match want.Digest, and want.Size where that is above 0.
//
// If no source answers, the error is a [*FetchError]; if none is trusted, a
// [*UsageError].
func (s *Set) Fetch(ctx context.Context, ref image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if want.Digest == "" {
		return s.byTag(ctx, ref)
	}
	r := race{sources: s.resolverFirst(), trouble: s.Trouble, ask: func(ctx context.Context, source *Source) answer {
		a := source.manifest(ctx, ref.Repository, want.Digest.String())
		if a.err == nil && (a.descriptor.Digest != want.Digest || want.Size > 0 && a.descriptor.Size != want.Size) {
			a.err = &mismatchError{source.Name(), want, a.descriptor}
		}
		return a
	}}
	a, err := r.run(ctx)
	return a.descriptor, a.body, err
}

func (s *Set) byTag(ctx context.Context, ref image.Reference) (ocispec.Descriptor, []byte, error) {
	trusted := slices.DeleteFunc(slices.Clone(s.sources), func(source *Source) bool { return !source.at.trusted() })
	if len(trusted) == 0 {
		return ocispec.Descriptor{}, nil, &UsageError{ref.Registry, []error{&MirrorError{
			s.sources[0].Name(), "not trusted for tags, nor is any other",
			"name the image by digest, or add --mirror " + ref.Registry,
		}}}
	}
	r := race{sources: trusted, precedence: precedence, trouble: s.Trouble, ask: func(ctx context.Context, source *Source) answer {
		return source.manifest(ctx, ref.Repository, ref.Tag)
	}}
	a, err := r.run(ctx)
	if err == nil {
		s.resolver.Store(a.source)
	}
	return a.descriptor, a.body, err
}

// resolverFirst returns the sources, led by the one that resolved the tag: it
// has the manifest for sure.
func (s *Set) resolverFirst() []*Source {
	first := s.resolver.Load()
	if first == nil {
		return s.sources
	}
	rest := slices.DeleteFunc(slices.Clone(s.sources), func(source *Source) bool { return source == first })
	return append([]*Source{first}, rest...)
}

// answer is what one source said.
type answer struct {
	source     *Source
	descriptor ocispec.Descriptor
	body       []byte
	err        error
}

func (s *Source) manifest(ctx context.Context, repository, reference string) answer {
	d, body, err := s.client.Manifest(ctx, repository, reference)
	if err != nil {
		err = s.explain(err)
	}
	return answer{s, d, body, err}
}

// race asks sources one after the other, each with a head start, and takes the
// first-named answer. Answers wait for sources named earlier until precedence
// has passed since the start.
type race struct {
	sources    []*Source
	precedence time.Duration
	ask        func(context.Context, *Source) answer
	trouble    func(source string, err error)
}

var errSilent = fmt.Errorf("no answer within %v: the next one is asked too", headStart)

func (r race) run(ctx context.Context) (answer, error) {
	var asking sync.WaitGroup
	defer asking.Wait()
	asked, cancel := context.WithCancel(ctx)
	defer cancel() // the losers

	type numbered struct {
		i int
		answer
	}
	answers := make(chan numbered, len(r.sources))
	got := make([]*answer, len(r.sources))
	started := 0
	next := time.NewTimer(0)
	defer next.Stop()
	over := time.NewTimer(r.precedence)
	defer over.Stop()
	patient := true
	for {
		select {
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		case <-over.C:
			patient = false
		case <-next.C:
			if started == len(r.sources) {
				break
			}
			i := started
			if i > 0 && got[i-1] == nil {
				r.trouble(r.sources[i-1].Name(), errSilent)
			}
			started++
			asking.Go(func() { answers <- numbered{i, r.ask(asked, r.sources[i])} })
			next.Reset(headStart)
		case a := <-answers:
			got[a.i] = &a.answer
			if a.err != nil {
				r.trouble(r.sources[a.i].Name(), a.err)
			}
			if a.err != nil && a.i == started-1 {
				next.Reset(0)
			}
		}
		if a, ok := first(got, patient); ok {
			return a, nil
		}
		if !slices.Contains(got, nil) && ctx.Err() == nil {
			return answer{}, newFetchError(got)
		}
	}
}

// first returns the first good answer that does not have to wait.
func first(got []*answer, patient bool) (answer, bool) {
	for _, a := range got {
		if a == nil && patient {
			return answer{}, false
		}
		if a != nil && a.err == nil {
			return *a, true
		}
	}
	return answer{}, false
}
