package verify

import (
	"sync"
	"time"

	"github.com/segpull/segpull/segment"
)

// Corrupt is the sources that were found to send wrong bytes, by their names. The zero
// value is empty, and excludes them for good. It is safe for concurrent use, and several
// searches may share it: each excludes what another has found.
type Corrupt struct {
	// ExcludeFor is how long a source is excluded; each further time is twice as long.
	// Searches that begin later suspect it until it has sent a known answer, see
	// CheckSources. 0: it is excluded for good.
	ExcludeFor time.Duration

	mu    sync.Mutex // guards what follows
	found []*exclusion
}

// exclusion is that of a source which was found to be corrupt.
type exclusion struct {
	name      string
	length    time.Duration
	until     time.Time
	unchecked bool // the source has not sent a known answer since
}

// trust is how far a search that began at a time uses a source. It never takes an excluded one
// back, since its scheduler does not.
func (c *Corrupt) trust(name string, began time.Time) segment.Trust {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := c.find(name); {
	case e == nil:
		return segment.Trusted
	case c.lasts(e, began):
		return segment.Excluded
	case e.unchecked:
		return segment.Suspect
	}
	return segment.Trusted
}

// Names returns the sources that are excluded, in the order in which they were found.
func (c *Corrupt) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, e := range c.found {
		if c.lasts(e, time.Now()) {
			names = append(names, e.name)
		}
	}
	return names
}

// find returns the exclusion of a source, or nil.
func (c *Corrupt) find(name string) *exclusion {
	for _, e := range c.found {
		if e.name == name {
			return e
		}
	}
	return nil
}

// lasts reports whether an exclusion ends after t.
func (c *Corrupt) lasts(e *exclusion, t time.Time) bool {
	return c.ExcludeFor == 0 || t.Before(e.until)
}

// add excludes a source, and returns for how long. fresh is false where a search that
// began at a time knows it already.
func (c *Corrupt) add(name string, began time.Time) (length time.Duration, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.find(name)
	switch {
	case e == nil:
		e = &exclusion{name: name}
		c.found = append(c.found, e)
	case c.lasts(e, began):
		return 0, false
	}
	e.length = max(c.ExcludeFor, 2*e.length)
	e.until, e.unchecked = time.Now().Add(e.length), true
	return e.length, true
}

// checked records that a source has sent a known answer.
func (c *Corrupt) checked(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).unchecked = false
}
