package verify

import (
	"slices"
	"sync"
	"time"
)

// Corrupt is the sources that were found to send wrong bytes, by their names. The zero
// value is empty, and excludes them for good. It is safe for concurrent use, and several
// searches may share it: each excludes what another has found.
type Corrupt struct {
	// ExcludeFor is how long a source is excluded; each further time is twice as long.
	// Searches that begin later suspect it until it has sent a known answer, see
	// CheckSources. 0: it is excluded for good.
	ExcludeFor time.Duration

	mu       sync.Mutex // guards what follows
	found    []*exclusion
	searches []*Search
}

// exclusion is that of a source which was found to be corrupt.
type exclusion struct {
	name      string
	lasts     time.Duration
	until     time.Time
	unchecked bool // the source has not sent a known answer since
}

// Has reports whether a source is excluded.
func (c *Corrupt) Has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.find(name)
	return e != nil && c.holds(e)
}

// Names returns the sources that are excluded, in the order in which they were found.
func (c *Corrupt) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, e := range c.found {
		if c.holds(e) {
			names = append(names, e.name)
		}
	}
	return names
}

func (c *Corrupt) find(name string) *exclusion {
	i := slices.IndexFunc(c.found, func(e *exclusion) bool { return e.name == name })
	if i < 0 {
		return nil
	}
	return c.found[i]
}

// holds reports whether an exclusion has not ended.
func (c *Corrupt) holds(e *exclusion) bool {
	return c.ExcludeFor == 0 || time.Now().Before(e.until)
}

// add excludes a source in all searches. fresh is false where it is excluded already.
func (c *Corrupt) add(name string) (lasts time.Duration, fresh bool) {
	c.mu.Lock()
	e := c.find(name)
	switch {
	case e == nil:
		e = &exclusion{name: name, lasts: c.ExcludeFor}
		c.found = append(c.found, e)
	case c.holds(e):
		c.mu.Unlock()
		return 0, false
	default:
		e.lasts *= 2
	}
	e.until, e.unchecked = time.Now().Add(e.lasts), true
	searches := slices.Clone(c.searches)
	c.mu.Unlock()
	for _, s := range searches {
		s.learn(name)
	}
	return e.lasts, true
}

// needsCheck reports whether the exclusion of a source has ended, and it has not sent a
// known answer since.
func (c *Corrupt) needsCheck(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.find(name)
	return e != nil && e.unchecked && !c.holds(e)
}

// checked records that a source has sent a known answer.
func (c *Corrupt) checked(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).unchecked = false
}

func (c *Corrupt) join(s *Search) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.searches = append(c.searches, s)
}

func (c *Corrupt) leave(s *Search) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.searches = slices.DeleteFunc(c.searches, func(o *Search) bool { return o == s })
}
