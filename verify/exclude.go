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
	s.excludeCorrupt()
	s.opts.Report.Corrupt(Finding{Source: name, Proof: fmt.Sprintf(proof, args...), Excluded: s.excluded(name)})
}

func (s *Search) excludeCorrupt() {
	for k, src := range s.sources {
		if s.excluded(src.origin.Name()) {
			s.opts.Scheduler.SetTrust(k, segment.Excluded)
		}
	}
}

// excluded reports whether a source is corrupt, and not all of them are.
func (s *Search) excluded(name string) bool {
	return s.opts.Corrupt.Has(name) && s.anyOther(name, s.sound)
}

// Accepts reports whether bytes of a blob are taken from a source: it is not
// corrupt, or no other source that is not has the blob. source is an index into
// Options.Sources.
func (s *Search) Accepts(source, blob int) bool {
	return !s.refused(s.sources[source].origin.Name(), blob)
}

func (s *Search) refused(name string, blob int) bool {
	return s.opts.Corrupt.Has(name) && s.anyOther(name, func(k int) bool {
		return s.sound(k) && !s.opts.Scheduler.Lacks(k, blob)
	})
}

// sound reports whether a source was not found corrupt.
func (s *Search) sound(source int) bool {
	return !s.opts.Corrupt.Has(s.sources[source].origin.Name())
}

// anyOther reports whether fn is true of any source but one.
func (s *Search) anyOther(name string, fn func(source int) bool) bool {
	for k, src := range s.sources {
		if src.origin.Name() != name && fn(k) {
			return true
		}
	}
	return false
}

// suspect adds n to the number of blobs in which a source is the suspect, and
// leaves it alone as long as there are any.
func (s *Search) suspect(source, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	trust := segment.Trusted
	if s.suspected[source] += n; s.suspected[source] > 0 {
		trust = segment.Suspect
	}
	s.opts.Scheduler.SetTrust(source, trust)
}

// ForgetCorrupt discards all that corrupt sources sent of blobs that are not
// verified. It is for a transfer that has failed: so nothing wrong is kept. The
// errors are those of the disk, joined.
func (s *Search) ForgetCorrupt() error {
	var errs []error
	for _, t := range s.allTargets() {
		if t.right.Load() {
			continue
		}
		for _, run := range t.blob.Runs() {
			if s.opts.Corrupt.Has(run.Source) {
				errs = append(errs, t.blob.Forget(run.Range))
			}
		}
	}
	return errors.Join(errs...)
}
