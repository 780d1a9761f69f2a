package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// cached are the blobs of a download into a cache.
type cached struct {
	download *Download
	cache    *cache.Cache
	earlier  bool // a pull without the cache has left blobs in the part directory
	hashed   []verify.Frontier
	ready    []chan struct{} // closed when that blob is verified

	mu    sync.Mutex // guards what follows
	blobs []cachedBlob
}

// cachedBlob is a blob, which has one of: nothing, a file, a part.
type cachedBlob struct {
	file    *os.File    // of the cache
	part    *cache.Part // that this download fetches, or has fetched
	index   int         // of the part in the transfer; -1: not in it yet
	arrived int64       // bytes that were seen in a part of another process, or of an earlier one
	resumed int64       // bytes that Download.resumed counts
}

// openCached finds what the cache has. The directory beside the output gets only the
// output, unless an earlier pull without the cache has left blobs there.
func (d *Download) openCached(ctx context.Context) (err error) {
	place, n := d.opts.Place, len(d.opts.Blobs)
	place.FromCache()
	k := &cached{
		download: d, cache: d.opts.Cache, earlier: len(state.Recorded(place.Work)) > 0,
		hashed: make([]verify.Frontier, n), ready: make([]chan struct{}, n), blobs: make([]cachedBlob, n),
	}
	for i := range k.ready {
		k.ready[i] = make(chan struct{})
	}
	if k.cache == nil {
		k.cache = cache.New(ownBlobs(place), 0) // it is not evicted
	}
	var placements []state.Placement
	if k.earlier {
		placements = d.opts.Placements
	}
	if d.store, err = state.Open(ctx, place.Work, placements, d.names); err != nil {
		return place.Explain(err)
	}
	d.cached = k
	for i := range k.blobs {
		if err := k.find(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// find looks what is on disk of blob i.
func (k *cached) find(ctx context.Context, i int) (err error) {
	blob, b := k.download.opts.Blobs[i], &k.blobs[i]
	if b.file, err = k.open(ctx, i); err == nil {
		k.resume(i, blob.Size)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.arrived = k.cache.Arrived(blob.Digest)
	if k.earlier {
		b.arrived = max(b.arrived, k.download.store.Blob(i).Done())
	}
	k.resume(i, b.arrived)
	return nil
}

// sizeError says that a blob has another size than the manifest names.
type sizeError struct{ error }

// Mismatch says that the bytes are not those of the image.
func (sizeError) Mismatch() bool { return true }

// open opens blob i in the cache. The error wraps fs.ErrNotExist if it is not there.
func (k *cached) open(ctx context.Context, i int) (*os.File, error) {
	blob := k.download.opts.Blobs[i]
	f, err := k.cache.Open(ctx, blob.Digest)
	if err != nil {
		return nil, k.cache.Explain(err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != blob.Size {
		err = sizeError{fmt.Errorf("blob %s has %d bytes, and the manifest of the image says %d", blob.Digest, info.Size(), blob.Size)}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// run hashes the blobs that the cache has, and fetches the others into it.
func (k *cached) run(ctx context.Context) error {
	if err := k.hash(ctx); err != nil {
		return err
	}
	missing, need := k.missing()
	if len(missing) == 0 {
		return nil
	}
	if !k.own() {
		if _, err := k.cache.Room(ctx, need, k.download.opts.Root); err != nil {
			return k.cache.Explain(err)
		}
	}
	return k.fetch(ctx, missing, need)
}

// own reports whether the cache has only this image, and ends with its part directory.
func (k *cached) own() bool { return k.download.opts.Cache == nil }

// missing returns the blobs that the cache does not have, and how many bytes that is.
func (k *cached) missing() (blobs []int, need int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range k.blobs {
		if b.file == nil {
			blobs = append(blobs, i)
			need += k.download.opts.Blobs[i].Size - b.arrived
		}
	}
	return blobs, need
}

// hash checks the blobs that the cache has.
func (k *cached) hash(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range k.blobs {
		if f := k.blobs[i].file; f != nil {
			group.Go(func() error {
				right, err := k.check(ctx, i, f)
				if !right {
					k.set(i, cachedBlob{})
				}
				return err
			})
		}
	}
	return group.Wait()
}

// check hashes a blob's file. If the bytes are wrong, it closes the file, and removes
// it from the cache.
func (k *cached) check(ctx context.Context, i int, f *os.File) (right bool, err error) {
	blob, warn := k.download.opts.Blobs[i], k.download.opts.Warn
	err = k.hashed[i].Section(ctx, io.NewSectionReader(f, 0, blob.Size), string(blob.Digest))
	if err == nil {
		close(k.ready[i])
		return true, nil
	}
	defer f.Close()
	if ctx.Err() != nil {
		return false, err
	}
	if _, mismatch := errors.AsType[*verify.MismatchError](err); !mismatch {
		warn(fmt.Sprintf("segpull cannot read blob %s in the cache, and fetches it again: %v", blob.Digest, err))
	} else {
		warn(fmt.Sprintf("blob %s in the cache was damaged, and segpull fetches it again: check the disk", blob.Digest))
	}
	return false, k.cache.Discard(ctx, blob.Digest, f)
}

// take takes a blob from the cache, if it has it, with the right bytes.
func (k *cached) take(ctx context.Context, i int) (done bool, err error) {
	f, err := k.open(ctx, i)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	right, err := k.check(ctx, i, f)
	if right {
		k.set(i, cachedBlob{file: f})
		k.resume(i, k.download.opts.Blobs[i].Size)
	}
	return right, err
}

// add adds a part to the transfer, with what is elsewhere of the blob.
func (k *cached) add(ctx context.Context, i int, part *cache.Part, inBucket bool) (index int, err error) {
	d, b := k.download, part.Store().Blob(0)
	blob := d.opts.Blobs[i]
	err = k.inherit(ctx, i, b)
	if err == nil {
		err = d.adopt(ctx, blob, b)
	}
	k.resume(i, b.Done())
	if err == nil {
		err = d.unpack(ctx, blob, b)
	}
	if err != nil {
		return 0, err
	}
	d.missing += b.Size() - b.Done()
	add := d.transfer.Add
	if inBucket {
		add = d.transfer.AddShared
	}
	index, err = add(d.opts.Blobs[i:i+1], part.Store())
	k.set(i, cachedBlob{part: part, index: index})
	return index, err
}

// inherit copies what a pull without the cache has left beside the output.
func (k *cached) inherit(ctx context.Context, i int, b *state.Blob) error {
	if !k.earlier {
		return nil
	}
	names := k.download.names
	old, buf := k.download.store.Blob(i), make([]byte, state.MaxRecord)
	for _, run := range old.Runs() {
		source := slices.Index(names, run.Source)
		if source < 0 {
			source = len(names) - 1
		}
		for off := run.Start; off < run.End; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, err := old.Read(off, buf)
			if err != nil || n == 0 {
				return err
			}
			if err := b.Write(off, buf[:n], source); err != nil {
				return err
			}
			off += int64(n)
		}
	}
	return nil
}

func (k *cached) set(i int, b cachedBlob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.resumed = k.blobs[i].resumed
	k.blobs[i] = b
}

// resume says how many bytes of a blob this download does not fetch. Other processes may
// bring more.
func (k *cached) resume(i int, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.download.resumed.Add(bytes - k.blobs[i].resumed)
	k.blobs[i].resumed = bytes
}

// section returns a reader of blob i, which is verified.
func (k *cached) section(i int) *io.SectionReader {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.blobs[i]; b.file == nil {
		return b.part.Store().Blob(0).Section()
	}
	return io.NewSectionReader(k.blobs[i].file, 0, k.download.opts.Blobs[i].Size)
}

// done returns how many bytes of blob i are on disk, and hashed how many of them
// SHA-256 has seen.
func (k *cached) done(i int) (done, hashed int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, blob := &k.blobs[i], k.download.opts.Blobs[i]
	switch {
	case b.file != nil:
		return blob.Size, k.hashed[i].Offset()
	case b.part == nil:
		b.arrived = max(b.arrived, k.cache.Arrived(blob.Digest))
		return b.arrived, 0
	case b.index < 0:
		return b.part.Store().Blob(0).Done(), 0
	}
	return b.part.Store().Blob(0).Done(), k.download.transfer.Hashed(b.index)
}

// Keep records in the cache the tag of an image that is complete, unless tag is zero, and
// evicts what is above the limit of the cache. Without a cache, it does nothing.
func (d *Download) Keep(ctx context.Context, tag cache.Name) error {
	c := d.opts.Cache
	if c == nil {
		return nil
	}
	_, _, evicted := c.Manifest(ctx, d.opts.Root)
	if tag.Tag != "" && evicted == nil {
		if err := c.SetName(ctx, tag); err != nil {
			return err
		}
	}
	if d.size() > c.Limit() {
		d.opts.Warn(fmt.Sprintf("%s has %s, so it does not stay in the cache: allow more with --cache-size", d.opts.Image, bytesText(d.size())))
	}
	_, err := c.Room(ctx, 0, "")
	return err
}

// close closes the files, and leaves nothing beside the output: the cache has it.
func (k *cached) close() {
	if !k.earlier {
		_ = k.download.store.Remove() // it fails if that has been done
	}
	for _, b := range k.blobs {
		if b.file != nil {
			b.file.Close()
		}
		if b.part != nil {
			b.part.Close()
		}
	}
}
