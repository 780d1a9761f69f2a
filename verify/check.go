package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

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
	hashed   Frontier
	right    atomic.Bool
	doubt    atomic.Bool // some bytes are probably wrong, and it is not clear yet which
	replicas []*replica  // of each source, by its index

	// The fields below belong to whoever has the turn; watchers end before the
	// check goes on.
	suspect   *replica // of the source that the watch suspects; may be nil
	held      bool     // no blob after this one is fetched
	unhurried bool     // no source is left to ask except those that were slow
}

func (c *check) whole() segment.Range { return segment.Range{End: c.blob.Size()} }

// replicaOf is nil for a source of an earlier run that is not used in this one.
func (c *check) replicaOf(name string) *replica {
	for _, r := range c.replicas {
		if r.name() == name {
			return r
		}
	}
	return nil
}

// served is how many bytes of the blob came from a source.
func (c *check) served(name string) (n int64) {
	for _, run := range c.blob.Runs() {
		if run.Source == name {
			n += run.Len()
		}
	}
	return n
}

// hash returns when the blob is complete, and whether it is right. Meanwhile it
// is watched.
func (c *check) hash(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stop()
	watchers.Go(func() { c.watch(watching) })
	return c.hashed.Blob(ctx, c.blob, c.blob.Digest(), c.blob.Size())
}

// repair is called when the blob is complete and its digest is wrong. It
// returns nil when a source was excluded, or bytes were replaced or are wanted
// again. It takes the steps in the order of their costs, with short budgets
// first, and only if that has no result with long ones.
func (c *check) repair(ctx context.Context, mismatch error) (err error) {
	if c.search.turn.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	defer c.search.turn.Release(1)
	c.hold()
	for _, c.unhurried = range []bool{false, true} {
		for _, r := range c.replicas {
			r.failure = nil // it may answer again
		}
		for _, step := range []func(context.Context) (bool, error){c.splice, c.eliminate, c.combine} {
			if done, err := step(ctx); done || err != nil {
				return err
			}
		}
		if err = c.failed(mismatch); !is[*segment.GiveUpError](err) {
			break
		}
	}
	return err
}

// end is called when it is clear which sources are corrupt, or none is.
func (c *check) end() {
	c.doubt.Store(false)
	c.unhurried = false
	if c.suspect != nil {
		c.search.suspect(c.suspect.source, -1)
		c.suspect = nil
	}
	if c.held {
		c.held = false
		c.search.opts.Scheduler.Release(c.index)
	}
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

// candidates are the replicas of sources that are not corrupt, in the order in
// which they are tried: by their rank, and then first those that served most of
// the blob, since to fetch the rest of it from them costs least.
func (c *check) candidates() (all []*replica) {
	for _, r := range c.replicas {
		if !c.search.isCorrupt(r.name()) {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b *replica) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(c.served(b.name()), c.served(a.name())))
	})
	return all
}

// rank is lowest of those that are tried first. Last are those whose bytes seem to be
// wrong, or that were corrupt in an earlier pull, or never were proved right.
func (r *replica) rank() int {
	switch s := r.check.search; {
	case r.doubted:
		return 3
	case s.opts.Doubted[r.name()]:
		return 2
	case r.name() != s.opts.Resolver && !s.provedRight(r.name()):
		return 1
	}
	return 0
}

// failed is the error of a blob that can't be repaired: that of a source that
// may answer later, or a mismatch with the reasons of those that lack the blob.
func (c *check) failed(mismatch error) error {
	for _, r := range c.replicas {
		switch {
		case is[*segment.GiveUpError](r.failure):
			return fmt.Errorf("the digest of %s is wrong, and segpull cannot determine which source sent wrong bytes: %w", c.blob.Digest(), r.failure)
		case r.failure != nil:
			mismatch = fmt.Errorf("%w (and %v)", mismatch, r.failure)
		}
	}
	return mismatch
}

// refetchExcluded fetches from others what excluded sources sent.
func (c *check) refetchExcluded() (some bool, err error) {
	for _, run := range c.blob.Runs() {
		if c.search.Accepts(run.Source, c.index) {
			continue
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
