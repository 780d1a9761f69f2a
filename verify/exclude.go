package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/segpull/segpull/segment"
)

// exclude takes a source of wrong bytes of the blob out of use, if another one is left. Its
// bytes of blobs that are not verified stay until they turn out wrong.
func (c *check) exclude(name, proof string, args ...any) {
	s := c.search
	length, fresh := s.opts.Corrupt.add(name, s.began)
	s.excludeCorrupt()
	if fresh {
		s.opts.Report.Corrupt(Finding{
			Source: name, Blob: c.blob.Digest(), Proof: fmt.Sprintf(proof, args...), Excluded: !s.Accepts(name, c.index), ExcludedFor: length,
		})
	}
}

// suspectUnchecked suspects the sources that were corrupt, as long as there are others.
func (s *Search) suspectUnchecked() {
	if !slices.ContainsFunc(s.sources, func(src *source) bool { return s.trust(src.name()) == segment.Trusted }) {
		return
	}
	for _, src := range s.sources {
		if src.unchecked = s.trust(src.name()) == segment.Suspect; src.unchecked {
			s.suspect(src, 1)
		}
	}
}

// cleared is called when a source has sent a known answer.
func (s *Search) cleared(src *source) {
	if src.unchecked {
		src.unchecked = false
		s.opts.Corrupt.checked(src.name())
		s.opts.Report.Warn(fmt.Sprintf("%s has served wrong bytes before, and has now sent right ones: it is used again", src.name()))
		s.suspect(src, -1)
	}
}

// excludeCorrupt excludes the sources that are corrupt. Where all are, the scheduler uses all.
func (s *Search) excludeCorrupt() {
	for _, src := range s.sources {
		if s.isCorrupt(src.name()) {
			s.opts.Scheduler.SetTrust(src.index, segment.Excluded)
		}
	}
}

// Accepts reports whether bytes of a blob are taken from the source of a name: it is not
// corrupt, or no other source that is not has the blob. It excludes a source that another
// search has found meanwhile.
func (s *Search) Accepts(name string, blob int) bool {
	if !s.isCorrupt(name) {
		return true
	}
	s.excludeCorrupt()
	return !slices.ContainsFunc(s.sources, func(src *source) bool {
		return !s.isCorrupt(src.name()) && !s.opts.Scheduler.Lacks(src.index, blob)
	})
}

// trust is what is known of a source, also of one of an earlier run.
func (s *Search) trust(name string) segment.Trust { return s.opts.Corrupt.trust(name, s.began) }

func (s *Search) isCorrupt(name string) bool { return s.trust(name) == segment.Excluded }

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
		for _, run := range c.blob.Runs() {
			if !c.right.Load() && s.isCorrupt(run.Source) {
				errs = append(errs, c.blob.Forget(run.Range))
			}
		}
	}
	return errors.Join(errs...)
}
