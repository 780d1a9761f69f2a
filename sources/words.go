package sources

import (
	"slices"
	"sync"

	"github.com/segpull/segpull/image"
)

// words are what sources said about tags. It is safe for use by several goroutines.
type words struct {
	mu   sync.Mutex
	tags map[string]*word // by NAME:TAG
}

// word is what became of one tag.
type word struct {
	resolver *Source // whose answer counts; nil before there is one
	rejected []*Source
}

// of returns a copy of what is known of ref's tag.
func (w *words) of(ref image.Reference) word {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.tags[tagOf(ref)]; known != nil {
		return word{known.resolver, slices.Clone(known.rejected)}
	}
	return word{}
}

// change calls fn with what is known of ref's tag, to change it.
func (w *words) change(ref image.Reference, fn func(*word)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.tags[tagOf(ref)]
	if known == nil {
		known = &word{}
		if w.tags == nil {
			w.tags = make(map[string]*word)
		}
		w.tags[tagOf(ref)] = known
	}
	fn(known)
}

func tagOf(ref image.Reference) string { return ref.Name() + ":" + ref.Tag }

// Resolver returns the name of the source whose answer counts for ref's tag, or "" if there is none, as for
// an image that is named by digest.
func (s *Set) Resolver(ref image.Reference) string {
	if r := s.words.of(ref).resolver; r != nil && ref.Digest == "" {
		return r.Name()
	}
	return ""
}

// Reject excludes the source whose answer counted for ref's tag from later questions about that tag, as
// image.Fetcher has it. It returns the name of the source and whether another that is trusted for tags is
// left. Where none is left, the next Fetch asks all of them again.
func (s *Set) Reject(ref image.Reference, _ error) (source string, more bool) {
	s.words.change(ref, func(w *word) {
		if w.resolver == nil {
			return
		}
		source = w.resolver.Name()
		w.rejected, w.resolver = append(w.rejected, w.resolver), nil
		if more = len(s.askable(*w)) > 0; !more {
			w.rejected = nil
		}
	})
	return source, more
}

// trusted returns the sources that are trusted for tags.
func (s *Set) trusted() []*Source {
	return slices.DeleteFunc(slices.Clone(s.sources), func(source *Source) bool { return !source.at.trusted() })
}

// askable returns the trusted sources that were not rejected.
func (s *Set) askable(w word) []*Source {
	return slices.DeleteFunc(s.trusted(), func(source *Source) bool { return slices.Contains(w.rejected, source) })
}
