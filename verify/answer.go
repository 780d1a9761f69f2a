package verify

import (
	"context"
	"crypto/sha256"
)

// maxAnswer is the largest blob that serves as a known answer, in bytes.
const maxAnswer = 64 << 10

// offerAnswer is called with each blob that is right. The first small one, most
// often the config, serves CheckSources.
func (s *Search) offerAnswer(c *check) {
	if size := c.blob.Size(); size == 0 || size > maxAnswer || s.opts.Scheduler.Assigned(c.index) {
		return
	}
	select {
	case s.answer <- c:
	default:
	}
}

// CheckSources waits for the first blob of at most 64 KiB that is right, and
// asks all sources that did not serve it and have a request to spare for it: so
// one that always sends wrong bytes is found before it has served much, and one whose
// exclusion has ended is used again if its answer is right. It returns when each has
// answered, or does not within seconds, or when ctx ends.
// It is called once.
func (s *Search) CheckSources(ctx context.Context) {
	if len(s.sources) == 1 { // no other could replace it
		return
	}
	var c *check
	select {
	case c = <-s.answer:
	case <-ctx.Done():
		return
	}
	right, err := readRange(c.blob, c.whole())
	sum := sha256.New()
	sum.Write(right)
	if err != nil || digest(sum) != c.blob.Digest() {
		return // the disk does not have it any more
	}
	served := func(r *replica) bool { return c.served(r.name()) > 0 }
	c.askAll(ctx, right, served, func(r *replica, _ []byte, same bool) {
		if same {
			s.cleared(r.source)
			return
		}
		c.exclude(r.name(), "it sent other bytes for %s, of which segpull has the right ones", c.blob.Digest())
	})
}
