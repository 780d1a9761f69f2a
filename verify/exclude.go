package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/segpull/segpull/segment"
)

// exclude takes a source of wrong bytes of a blob out of use, if another one is left. Its
// bytes of blobs that are not verified stay until they turn out wrong.
func (s *Search) exclude(name, blob, proof string, args ...any) {
	if s.isCorrupt(name) {
		return
	}
	lasts, fresh := s.opts.Corrupt.add(name)
	if !fresh {
		return
	}
	s.opts.Report.Corrupt(Finding{
		Source: name, Blob: blob, Proof: fmt.Sprintf(proof, args...), Excluded: s.excludeCorrupt(), ExcludedFor: lasts,
	})
}

// learn excludes a source that this search, or another, has found to be corrupt.
func (s *Search) learn(name string) {
	for _, src := range s.sources {
		if src.origin.Name() == name {
			src.corrupt.Store(true)
		}
	}
	s.excludeCorrupt()
}

// join excludes the sources that are corrupt, and suspects those that were, as long as
// there are others.
func (s *Search) join() {
	s.opts.Corrupt.join(s)
	for _, src := range s.sources {
		if s.opts.Corrupt.Has(src.origin.Name()) {
			src.corrupt.Store(true)
		}
	}
	s.excludeCorrupt()
	unchecked := func(src *source) bool { return s.sound(src) && s.opts.Corrupt.needsCheck(src.origin.Name()) }
	if !slices.ContainsFunc(s.sources, func(src *source) bool { return s.sound(src) && !unchecked(src) }) {
		return // there is no other to use
	}
	for _, src := range s.sources {
		if src.unchecked = unchecked(src); src.unchecked {
			s.suspect(src, 1)
		}
	}
}

// cleared is called when a source has sent a known answer.
func (s *Search) cleared(src *source) {
	if src.unchecked {
		src.unchecked = false
		s.opts.Corrupt.checked(src.origin.Name())
		s.opts.Report.Warn(fmt.Sprintf("%s has served wrong bytes before, and has now sent right ones: it is used again", src.origin.Name()))
		s.suspect(src, -1)
	}
}

// excludeCorrupt returns false where all sources are corrupt: then all are used.
func (s *Search) excludeCorrupt() bool {
	if !slices.ContainsFunc(s.sources, s.sound) {
		return false
	}
	for _, src := range s.sources {
		if !s.sound(src) {
			s.opts.Scheduler.SetTrust(src.index, segment.Excluded)
		}
	}
	return true
}

// Accepts reports whether bytes of a blob are taken from a source: it is not
// corrupt, or no other source that is not has the blob. source is an index into
// Options.Sources.
func (s *Search) Accepts(source, blob int) bool {
	return !s.refused(s.sources[source].origin.Name(), blob)
}

func (s *Search) refused(name string, blob int) bool {
	return s.isCorrupt(name) && slices.ContainsFunc(s.sources, func(src *source) bool {
		return s.sound(src) && !s.opts.Scheduler.Lacks(src.index, blob)
	})
}

// sound reports whether a source was not found corrupt. One that was stays so until the
// search ends, since the scheduler does not take an excluded one back.
func (s *Search) sound(src *source) bool { return !src.corrupt.Load() }

// isCorrupt does the same for a name, also of a source of an earlier run.
func (s *Search) isCorrupt(name string) bool {
	for _, src := range s.sources {
		if src.origin.Name() == name {
			return !s.sound(src)
		}
	}
	return s.opts.Corrupt.Has(name)
}

// suspect adds n to the number of blobs in which a source is the suspect, and
// leaves it alone as long as there are any.
func (s *Search) suspect(src *source, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	trust := segment.Trusted
	if src.suspected += n; src.suspected > 0 {
		trust = segment.Suspect
	}
	s.opts.Scheduler.SetTrust(src.index, trust)
}

// ForgetCorrupt discards all that corrupt sources sent of blobs that are not
// verified. It is for a transfer that has failed: so nothing wrong is kept. The
// errors are those of the disk, joined.
func (s *Search) ForgetCorrupt() error {
	var errs []error
	for _, c := range s.all() {
		if c.right.Load() {
			continue
		}
		for _, run := range c.blob.Runs() {
			if s.isCorrupt(run.Source) {
				errs = append(errs, c.blob.Forget(run.Range))
			}
		}
	}
	return errors.Join(errs...)
}
