package segpull

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
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// cached are the blobs of a job that uses a cache: the job fetches what is missing into
// the cache, and writes the output from there.
type cached struct {
	job     *job
	cache   *cache.Cache
	sources []string // for Begin
	earlier bool     // a pull without the cache has left blobs in job.store

	mu    sync.Mutex // guards what follows
	blobs []cachedBlob
}

// cachedBlob is a blob, which has one of: nothing, a file, a part.
type cachedBlob struct {
	file    *os.File    // of the cache
	part    *cache.Part // that this job fetches, or has fetched
	index   int         // of the part in the transfer; -1: not in it yet
	arrived int64       // bytes that were seen in a part of another process, or of an earlier one
	resumed int64       // bytes that job.resumed counts
}

// openCached finds what the cache has. The directory beside the output gets only the
// output, unless an earlier pull without the cache has left blobs there.
func (j *job) openCached(ctx context.Context, names []string, placements []state.Placement) (err error) {
	j.layout = nil // the archive is written when the cache has all blobs
	earlier := len(state.Recorded(j.out.work)) > 0
	if !earlier {
		placements = nil
	}
	if j.store, err = state.Open(ctx, j.out.work, placements, names); err != nil {
		return j.out.explain(err)
	}
	k := &cached{job: j, cache: j.cache(), sources: names, earlier: earlier, blobs: make([]cachedBlob, len(j.blobs))}
	j.cached = k
	for i, d := range j.blobs {
		b := &k.blobs[i]
		switch b.file, err = k.open(ctx, i); {
		case err == nil:
			k.resume(i, d.Size)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		default:
			b.arrived = k.cache.Arrived(d.Digest)
			if k.earlier {
				b.arrived = max(b.arrived, j.store.Blob(i).Done())
			}
			k.resume(i, b.arrived)
		}
	}
	return nil
}

// open opens blob i in the cache. The error wraps fs.ErrNotExist if it is not there.
func (k *cached) open(ctx context.Context, i int) (*os.File, error) {
	d := k.job.blobs[i]
	f, err := k.cache.Open(ctx, d.Digest)
	if err != nil {
		return nil, k.explain(err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != d.Size {
		err = &classified{fmt.Errorf("blob %s has %d bytes, and the manifest of the image says %d", d.Digest, info.Size(), d.Size), ErrMismatch}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// explain adds to an error of the file system what to do about it.
func (k *cached) explain(err error) error { return explainCache(k.cache, err) }

func explainCache(c *cache.Cache, err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if !path && !link {
		return err
	}
	return fmt.Errorf("cannot use the cache %s: %w; give another with --cache-dir", c.Dir(), err)
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
		if _, err := k.cache.Room(ctx, need, k.job.image.Digest); err != nil {
			return k.explain(err)
		}
	}
	return k.fetch(ctx, missing, need)
}

// missing returns the blobs that the cache does not have, and how many bytes that is.
func (k *cached) missing() (blobs []int, need int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range k.blobs {
		if b.file == nil {
			blobs = append(blobs, i)
			need += k.job.blobs[i].Size - b.arrived
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
	d := k.job.blobs[i]
	err = k.job.compared[i].Blob(ctx, whole{io.NewSectionReader(f, 0, d.Size)}, string(d.Digest), d.Size)
	if err == nil {
		k.job.verified(i)
		return true, nil
	}
	defer f.Close()
	if ctx.Err() != nil {
		return false, err
	}
	if _, mismatch := errors.AsType[*verify.MismatchError](err); !mismatch {
		k.job.call.warn(fmt.Sprintf("segpull cannot read blob %s in the cache, and fetches it again: %v", d.Digest, err))
	} else {
		k.job.call.warn(fmt.Sprintf("blob %s in the cache was damaged, and segpull fetches it again: check the disk", d.Digest))
	}
	return false, k.cache.Discard(ctx, d.Digest, f)
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
		k.resume(i, k.job.blobs[i].Size)
	}
	return right, err
}

// add adds a part to the transfer, with what is elsewhere of the blob.
func (k *cached) add(ctx context.Context, i int, part *cache.Part, inBucket bool) (index int, err error) {
	b, j := part.Store().Blob(0), k.job
	err = k.inherit(ctx, i, b)
	if err == nil {
		err = j.adopt(ctx, i, b)
	}
	k.resume(i, b.Done())
	if err == nil {
		err = j.unpack(ctx, i, b)
	}
	if err != nil {
		return 0, err
	}
	j.missing += b.Size() - b.Done()
	add := j.transfer.Add
	if inBucket {
		add = j.transfer.AddShared
	}
	index, err = add(j.blobs[i:i+1], part.Store())
	k.set(i, cachedBlob{part: part, index: index})
	return index, err
}

// inherit copies what a pull without the cache has left beside the output.
func (k *cached) inherit(ctx context.Context, i int, b *state.Blob) error {
	if !k.earlier {
		return nil
	}
	old, buf := k.job.store.Blob(i), make([]byte, state.MaxRecord)
	for _, run := range old.Runs() {
		source := slices.Index(k.sources, run.Source)
		if source < 0 {
			source = len(k.sources) - 1
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

// resume says how many bytes of a blob this job does not fetch. Other processes may
// bring more.
func (k *cached) resume(i int, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.job.resumed.Add(bytes - k.blobs[i].resumed)
	k.blobs[i].resumed = bytes
}

// section returns a reader of blob i, which is verified.
func (k *cached) section(i int) *io.SectionReader {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.blobs[i]; b.file == nil {
		return b.part.Store().Blob(0).Section()
	}
	return io.NewSectionReader(k.blobs[i].file, 0, k.job.blobs[i].Size)
}

// done returns how many bytes of blob i are on disk, and hashed how many of them
// SHA-256 has seen.
func (k *cached) done(i int) (done, hashed int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, d := &k.blobs[i], k.job.blobs[i]
	switch {
	case b.file != nil:
		return d.Size, k.job.compared[i].Offset()
	case b.part == nil:
		b.arrived = max(b.arrived, k.cache.Arrived(d.Digest))
		return b.arrived, 0
	case b.index < 0:
		return b.part.Store().Blob(0).Done(), 0
	}
	return b.part.Store().Blob(0).Done(), k.job.transfer.Hashed(b.index)
}

// own reports whether the cache has only the image of the job.
func (k *cached) own() bool { return k.cache != k.job.call.cache }

// keep records the tag of an image that is complete, and evicts what is above the limit
// of the cache.
func (k *cached) keep(ctx context.Context) error {
	j, ref := k.job, k.job.image.Reference
	_, _, evicted := k.cache.Manifest(ctx, j.image.Digest)
	if ref.Digest == "" && evicted == nil {
		err := k.cache.SetName(ctx, cache.Name{
			Registry: ref.Registry, Repository: ref.Repository, Tag: ref.Tag,
			Digest: j.image.Digest, Checked: j.asked, Source: j.resolver,
		})
		if err != nil {
			return err
		}
	}
	if j.size() > k.cache.Limit() {
		j.call.warn(fmt.Sprintf("%s has %s, so it does not stay in the cache: allow more with --cache-size", j.name(), bytesText(j.size())))
	}
	_, err := k.cache.Room(ctx, 0, "")
	return err
}

// close closes the files, and leaves nothing beside the output: the cache has it.
func (k *cached) close() {
	if !k.earlier {
		_ = k.job.store.Remove() // it fails if that has been done
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

// known reports whether the cache probably has the image of a reference.
func (c *call) known(ctx context.Context, ref image.Reference) bool {
	if c.cache == nil {
		return false
	}
	if ref.Digest == "" {
		_, err := c.cache.Name(ref)
		return err == nil
	}
	_, _, err := c.cache.Manifest(ctx, ref.Digest)
	return err == nil
}
