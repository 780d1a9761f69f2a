package sources

import (
	"slices"
	"sync"

	"github.com/segpull/segpull/image"
)

// tagStates has the state of each tag that was asked for. It is safe for concurrent use.
type tagStates struct {
	mu     sync.Mutex
	states map[string]*tagState // by NAME:TAG
}

// tagState is which source resolved a tag, and which were rejected.
type tagState struct {
	resolver *Source // whose answer counts; nil before there is one
	rejected []*Source
}

// mostTags bounds the memory of a server, which uses a set for long. What is forgotten costs
// a request.
const mostTags = 4096

// of returns a copy of the state of ref's tag: the zero state if ref has a digest, since its tag is not
// asked for.
func (t *tagStates) of(ref image.Reference) tagState {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.states[tagOf(ref)]; known != nil && ref.Digest == "" {
		return tagState{known.resolver, slices.Clone(known.rejected)}
	}
	return tagState{}
}

// change calls fn with the state of ref's tag, to change it.
func (t *tagStates) change(ref image.Reference, fn func(*tagState)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.states[tagOf(ref)]
	if known == nil {
		known = &tagState{}
		if t.states == nil || len(t.states) >= mostTags {
			t.states = make(map[string]*tagState)
		}
		t.states[tagOf(ref)] = known
	}
	fn(known)
}

func tagOf(ref image.Reference) string { return ref.Name() + ":" + ref.Tag }

// Resolver returns the name of the source that resolved ref's tag, or "" if no source has, or if ref has
// a digest.
func (s *Set) Resolver(ref image.Reference) string {
	if r := s.tags.of(ref).resolver; r != nil {
		return r.Name()
	}
	return ""
}

// Reject excludes the source that resolved ref's tag from later requests for that tag, as image.Fetcher
// requires. It returns the name of the source, and whether another source that is trusted for tags is
// left. If none is left, the next Fetch asks all of them again.
func (s *Set) Reject(ref image.Reference, _ error) (source string, more bool) {
	s.tags.change(ref, func(state *tagState) {
		if state.resolver == nil {
			return
		}
		source = state.resolver.Name()
		state.rejected, state.resolver = append(state.rejected, state.resolver), nil
		if more = len(s.askable(*state)) > 0; !more {
			state.rejected = nil
		}
	})
	return source, more
}

// trusted returns the sources that are trusted for tags.
func (s *Set) trusted() []*Source {
	return slices.DeleteFunc(slices.Clone(s.sources), func(source *Source) bool { return !source.at.trusted() })
}

// askable returns the trusted sources that were not rejected.
func (s *Set) askable(state tagState) []*Source {
	return slices.DeleteFunc(s.trusted(), func(source *Source) bool { return slices.Contains(state.rejected, source) })
}
