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
	// Term is how long a source is excluded. Searches that begin later suspect it, until
	// it has sent a known answer, see CheckSources. Each further time is twice as long. 0:
	// for good.
	Term time.Duration

	mu       sync.Mutex // guards what follows
	found    []*offender
	searches []*Search
}

// offender is a source that was found to be corrupt.
type offender struct {
	name      string
	term      time.Duration // the last one
	until     time.Time     // when it ends
	probation bool          // it has not sent a known answer since
}

// Has reports whether a source is excluded.
func (c *Corrupt) Has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.find(name)
	return o != nil && c.excludes(o)
}

// Names returns the sources that are excluded, in the order in which they were found.
func (c *Corrupt) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, o := range c.found {
		if c.excludes(o) {
			names = append(names, o.name)
		}
	}
	return names
}

func (c *Corrupt) find(name string) *offender {
	i := slices.IndexFunc(c.found, func(o *offender) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return c.found[i]
}

func (c *Corrupt) excludes(o *offender) bool {
	return c.Term == 0 || time.Now().Before(o.until)
}

// add excludes a source in all searches. fresh is false where it is excluded already.
func (c *Corrupt) add(name string) (term time.Duration, fresh bool) {
	c.mu.Lock()
	o := c.find(name)
	switch {
	case o == nil:
		o = &offender{name: name, term: c.Term}
		c.found = append(c.found, o)
	case c.excludes(o):
		c.mu.Unlock()
		return 0, false
	default:
		o.term *= 2
	}
	o.until, o.probation = time.Now().Add(o.term), true
	searches := slices.Clone(c.searches)
	c.mu.Unlock()
	for _, s := range searches {
		s.learn(name)
	}
	return o.term, true
}

// onProbation reports whether the term of a source is over, and it has not sent a known
// answer since.
func (c *Corrupt) onProbation(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.find(name)
	return o != nil && o.probation && !c.excludes(o)
}

func (c *Corrupt) readmit(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).probation = false
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
