package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segpull/segpull/segment"
)

// A digest covers a whole blob, so a mismatch does not say who sent the wrong
// bytes. A check finds out. It excludes a source on proof alone, so that an
// honest one never is:
//
//   - it sends other bytes of a blob that is known to be right;
//   - it equivocates: it sends two different things for the same bytes;
//   - a blob is right once its bytes are replaced by another source's;
//   - a blob is wrong as it alone has it.
//
// Where to look first, hints tell: where the layer breaks, and what sources
// have done before. So where each byte has a source that sends it right, the
// blob ends right.

// check is the verification of one blob.
type check struct {
	search   *Search
	index    int
	blob     Blob
	replicas []*replica // of each source

	// The fields below belong to whoever has the turn; watchers end before the
	// check goes on.
	doubted   map[string]bool // sources whose bytes seem to be wrong
	suspects  []int           // sources that the watch suspects
	held      bool            // no blob after this one is fetched
	unhurried bool            // no source is left to ask but those that were slow
	wrongAt   time.Time       // when the digest was last found wrong
}

func (s *Search) newCheck(index int) *check {
	b := s.target(index).blob
	c := &check{search: s, index: index, blob: b, doubted: make(map[string]bool)}
	for k, src := range s.sources {
		c.replicas = append(c.replicas, &replica{source: src, index: k, blob: b, scratch: s.scratch, base: s.scratch.reserve(b.Size())})
	}
	return c
}

func (c *check) whole() segment.Range { return segment.Range{End: c.blob.Size()} }

// hash returns when the blob is complete, and whether it is right. Meanwhile it
// is watched.
func (c *check) hash(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stop()
	w := &watch{check: c}
	watchers.Go(func() { w.stream(watching) })
	watchers.Go(func() { w.starts(watching) })
	return c.search.target(c.index).hashed.Blob(ctx, c.blob, c.blob.Digest(), c.blob.Size())
}

// repair is called when the blob is complete and its digest is wrong. It
// returns nil when a source was excluded, or bytes were replaced or are wanted
// again. It asks in haste first, and only if that leads nowhere with patience.
func (c *check) repair(ctx context.Context, mismatch error) error {
	if err := acquire(ctx, c.search.turn); err != nil {
		return err
	}
	defer func() { <-c.search.turn }()
	c.hold()
	for _, c.unhurried = range []bool{false, true} {
		c.begin()
		if done, err := c.findOut(ctx); done || err != nil {
			return err
		}
		if c.timeout() == nil {
			return andReasons(mismatch, c.replicas)
		}
	}
	return fmt.Errorf("the digest of %s is wrong, and it can't be found out which source sent wrong bytes: %w", c.blob.Digest(), c.timeout())
}

// findOut takes the steps in the order of their costs.
func (c *check) findOut(ctx context.Context) (done bool, err error) {
	for _, step := range []func(context.Context) (bool, error){c.splice, c.refetchExcluded, c.eliminate, c.combine} {
		if done, err := step(ctx); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// begin is called when the digest was found wrong once more. Sources that timed
// out before may answer again.
func (c *check) begin() {
	c.wrongAt = time.Now()
	for _, r := range c.replicas {
		r.failure = nil
	}
}

// end is called when it is clear which sources are corrupt, or none is.
func (c *check) end() {
	c.unhurried = false
	c.clearSuspects()
	c.release()
}

// hold leaves larger blobs for later if one of two sources is corrupt: until it
// is clear which, it would be luck to ask the other. With more sources, it
// would keep honest ones waiting.
func (c *check) hold() {
	if !c.held && len(c.candidates()) == 2 {
		c.held = true
		c.search.opts.Scheduler.Hold(c.index)
	}
}

func (c *check) release() {
	if c.held {
		c.held = false
		c.search.opts.Scheduler.Release(c.index)
	}
}

func (c *check) clearSuspects() {
	for _, k := range c.suspects {
		c.search.clear(k)
	}
	c.suspects = nil
}

// candidates are the replicas of sources that are not corrupt, in the order in
// which they are tried as a reference: last those that are suspects, or were
// corrupt recently, or never were proved right; first those that served most of
// the blob, since to fetch the rest of it from them costs least.
func (c *check) candidates() []*replica {
	all := slices.DeleteFunc(slices.Clone(c.replicas), func(r *replica) bool { return !c.search.sound(r.index) })
	slices.SortStableFunc(all, func(a, b *replica) int {
		return cmp.Or(
			cmp.Compare(c.doubt(a), c.doubt(b)),
			cmp.Compare(c.weight(b), c.weight(a)),
		)
	})
	return all
}

// doubt is the greater, the less a source has done to be trusted.
func (c *check) doubt(r *replica) int {
	switch {
	case c.doubted[r.name()], slices.Contains(c.suspects, r.index):
		return 3
	case c.search.opts.Doubted[r.name()]:
		return 2
	case !c.search.provedRight(r.name()) && r.name() != c.search.opts.Resolver:
		return 1
	}
	return 0
}

// weight is how much of the blob a source served. Of two sources, that of the
// one that resolved the tag is doubled: it could have sent a wrong digest.
func (c *check) weight(r *replica) int64 {
	n := c.search.served(c.index, r.name())
	if r.name() == c.search.opts.Resolver && len(c.replicas) == 2 {
		n *= 2
	}
	return n
}

// fetch asks a source for bytes of the blob. After a failure, it fails at once
// until begin.
func (c *check) fetch(ctx context.Context, r *replica, ranges []segment.Range) error {
	if !c.unhurried && r.source.timedOutRecently() {
		r.failure = &segment.GiveUpError{After: quickAnswer}
	}
	if r.failure != nil || len(ranges) == 0 {
		return r.failure
	}
	if r.source.source.WholeOnly() { // it would start over each time
		ranges = r.missing(c.whole(), c.blob.Size())
	}
	err := r.source.source.ReadRanges(ctx, c.index, ranges, c.budget(r, ranges), r.keep)
	r.fail(err)
	return err
}

// budget is long only when no other source is left to ask.
func (c *check) budget(r *replica, ranges []segment.Range) segment.Budget {
	bytes := int64(0)
	for _, at := range ranges {
		bytes += at.Len()
	}
	if r.source.source.WholeOnly() {
		bytes = c.blob.Size()
	}
	if c.unhurried {
		return c.search.longBudget(r.source, bytes)
	}
	return c.search.shortBudget(r.source, bytes, c.wrongAt)
}

// fail remembers the error of a source that is not available.
func (r *replica) fail(err error) {
	if !unavailable(err) {
		return
	}
	r.failure = err
	if !hopeless(err) {
		r.source.timedOut.Store(time.Now().Unix())
	}
}

// timeout is the error of a source that may answer later.
func (c *check) timeout() error {
	for _, r := range c.replicas {
		if r.failure != nil && !hopeless(r.failure) {
			return r.failure
		}
	}
	return nil
}

// refetchExcluded fetches from others what excluded sources sent. That is kept
// in the scratch file: some of it may be right.
func (c *check) refetchExcluded(ctx context.Context) (some bool, err error) {
	for _, run := range c.blob.Runs() {
		if !c.search.refused(run.Source, c.index) {
			continue
		}
		if err := c.keep(ctx, run); err != nil {
			return some, err
		}
		if err := c.refetch(run.Range); err != nil {
			return some, err
		}
		some = true
	}
	return some, nil
}

func (c *check) refetch(r segment.Range) error {
	if err := c.blob.Forget(r); err != nil {
		return err
	}
	c.search.opts.Scheduler.Want(c.index, r)
	return nil
}

// keep puts what a source served into the scratch file.
func (c *check) keep(ctx context.Context, run Run) error {
	k := c.search.sourceNamed(run.Source)
	if k < 0 {
		return nil // of an earlier run
	}
	return eachWindow(ctx, run.Range, func(r segment.Range) error {
		p, err := readRange(c.blob, r)
		if err != nil || p == nil {
			return err
		}
		return c.replicas[k].keep(r.Start, p)
	})
}
