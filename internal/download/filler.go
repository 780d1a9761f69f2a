package download

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/transfer"
)

// mostParts is how many blobs a download fetches into the cache at once: each needs a few
// descriptors, and the transfer takes them in order anyway.
const mostParts = 16

// fetch runs the transfer until the cache has all blobs. need is how many bytes must
// fit on the disk.
func (k *cached) fetch(ctx context.Context, missing []int, need int64) error {
	group, ctx := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- k.download.transfer.Run(running) }()
	f := filler{cached: k, group: group, slots: make(chan struct{}, mostParts), need: need}
	group.Go(func() error { return f.fill(ctx, missing) })
	err := group.Wait()
	stop()
	if runErr := <-ended; errors.Is(err, transfer.ErrEnded) {
		err = runErr
	}
	return err
}

// filler starts to fetch blobs, one after the other.
type filler struct {
	cached *cached
	group  *errgroup.Group
	slots  chan struct{} // one for each part that is not complete
	need   int64         // bytes that must fit on the disk
}

// fill fetches the blobs. Those that another process fetches come last: that may have
// them by then, or may have ended.
func (f *filler) fill(ctx context.Context, missing []int) error {
	var elsewhere []int
	for _, i := range missing {
		err := f.obtain(ctx, i, 0)
		if _, busy := errors.AsType[*cache.BusyError](err); busy || errors.Is(err, errElsewhere) {
			elsewhere = append(elsewhere, i)
		} else if err != nil {
			return err
		}
	}
	opts := f.cached.download.opts
	if len(elsewhere) > 0 {
		opts.Warn(fmt.Sprintf("%s: another segpull fetches %d of its blobs into the cache or the bucket; this one waits for them", opts.Image, len(elsewhere)))
	}
	for _, i := range elsewhere {
		if err := f.obtain(ctx, i, opts.Transfer.GiveUpAfter); err != nil {
			return err
		}
	}
	return nil
}

// obtain takes a blob from the cache, or starts to fetch it. It waits for another
// process as cache.Begin does.
func (f *filler) obtain(ctx context.Context, i int, wait time.Duration) error {
	k := f.cached
	for {
		if done, err := k.take(ctx, i); done || err != nil {
			return err
		}
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		part, err := k.cache.Begin(ctx, k.download.opts.Blobs[i], k.download.names, wait)
		if err == nil {
			turn := k.download.opts.Bucket.Begin(ctx, k.download.opts.Blobs[i], wait)
			if !turn.Busy() || wait > 0 {
				return f.start(ctx, i, part, turn)
			}
			turn.End()
			err = errors.Join(errElsewhere, part.Close())
		}
		<-f.slots
		if !errors.Is(err, fs.ErrExist) {
			return k.cache.Explain(err)
		}
	}
}

// errElsewhere is the error of a blob that another process fetches into the bucket.
var errElsewhere = errors.New("another process fetches the blob into the bucket")

// start gives a part to the transfer, and puts it into the cache when it is right.
func (f *filler) start(ctx context.Context, i int, part *cache.Part, turn *bucket.Turn) error {
	k := f.cached
	k.set(i, cachedBlob{part: part, index: -1})
	err := f.checkSpace(part.Store())
	index := 0
	if err == nil {
		index, err = k.add(ctx, i, part, turn.Found())
	}
	if err != nil {
		turn.End()
		return err
	}
	turn.OnFound(func() { k.download.transfer.Assign(index) })
	f.group.Go(func() error {
		defer turn.End()
		if err := k.download.transfer.Wait(ctx, index); err != nil {
			return err
		}
		if err := part.Commit(ctx); err != nil {
			return k.cache.Explain(err)
		}
		turn.Put(func(ctx context.Context) (*os.File, error) { return k.cache.Open(ctx, k.download.opts.Blobs[i].Digest) })
		close(k.ready[i])
		<-f.slots
		return nil
	})
	return nil
}

// checkSpace returns an error, before the first blob is fetched, if the disk has no room
// for all of them. An output on the same disk comes on top, unless it may share blocks.
func (f *filler) checkSpace(store *state.Store) error {
	d, need := f.cached.download, f.need
	place := d.opts.Place
	if need > 0 && place.OnDisk() && place.Format != archive.OCI && store.SharesDisk(d.store) {
		need += d.size()
	}
	f.need = 0
	own, free, known := store.Space()
	need += own - (store.Blob(0).Size() - store.Blob(0).Done()) // it may be allocated
	if known && free < need {
		return fmt.Errorf("the cache %s and the output need %s more and have %s free: %w", f.cached.cache.Dir(), bytesText(need), bytesText(free), syscall.ENOSPC)
	}
	return nil
}
