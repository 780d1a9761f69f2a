package verify

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/segpull/segpull/segment"
)

// Corrupt is the names of the sources that were found to send wrong bytes. The
// zero value is empty. It is safe for concurrent use, and several searches may
// share it.
type Corrupt struct {
	mu    sync.Mutex // guards names
	names []string
}

// Has reports whether a source is in the set.
func (c *Corrupt) Has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.names, name)
}

// Names returns the sources in the order in which they were found.
func (c *Corrupt) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.names)
}

// add returns false where the name is there already.
func (c *Corrupt) add(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.names, name) {
		return false
	}
	c.names = append(c.names, name)
	return true
}

// exclude takes a source out of use, if another one is left. Its bytes of
// blobs that are not verified stay until they turn out wrong.
func (s *Search) exclude(name, proof string, args ...any) {
	if !s.opts.Corrupt.add(name) {
		return
	}
	s.opts.Report.Corrupt(Finding{Source: name, Proof: fmt.Sprintf(proof, args...), Excluded: s.excludeCorrupt()})
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
	return s.opts.Corrupt.Has(name) && slices.ContainsFunc(s.sources, func(src *source) bool {
		return s.sound(src) && !s.opts.Scheduler.Lacks(src.index, blob)
	})
}

// sound reports whether a source was not found corrupt.
func (s *Search) sound(src *source) bool { return !s.opts.Corrupt.Has(src.origin.Name()) }

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
			if s.opts.Corrupt.Has(run.Source) {
				errs = append(errs, c.blob.Forget(run.Range))
			}
		}
	}
	return errors.Join(errs...)
}
