package segpull

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/state"
)

// findExisting reports whether the archive is in its place already, complete and
// right; then j.existing is that file. It compares what is between the blobs first:
// that includes the manifest, so another image costs no hashing. The pull replaces
// an archive that is not right, or that it cannot read. The error is the cause of
// ctx.
func (j *job) findExisting(ctx context.Context) (bool, error) {
	if j.layout == nil {
		return false, nil
	}
	if j.existing, _ = state.OpenOutput(j.out.path); j.existing == nil {
		return false, nil
	}
	if j.sameAround() && j.hashExisting(ctx) == nil {
		return true, nil
	}
	j.existing.Close()
	j.existing = nil
	return false, context.Cause(ctx)
}

// sameAround reports whether the existing file has the size of the archive, and
// all bytes around the blobs.
func (j *job) sameAround() bool {
	info, err := j.existing.Stat()
	if err != nil || info.Size() != j.layout.Size() {
		return false
	}
	same, err := j.layout.Finished(j.existing)
	return same && err == nil
}

// hashExisting checks the digest of each blob in the existing archive.
func (j *job) hashExisting(ctx context.Context) error {
	j.announce()
	hashing, cancel := context.WithCancel(ctx)
	var sampling sync.WaitGroup
	defer sampling.Wait()
	defer cancel()
	sampling.Go(func() { sample(hashing, j.reportProgress) })

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, b := range j.blobs {
		group.Go(func() error {
			return j.compared[i].Blob(ctx, whole{j.section(i)}, string(b.Digest), b.Size)
		})
	}
	return group.Wait()
}

// whole is the verify.Content of a blob that is complete.
type whole struct{ *io.SectionReader }

func (whole) Wait(context.Context, int64) error { return nil }

func (w whole) Read(off int64, buf []byte) (int, error) {
	n, err := w.ReadAt(buf, off)
	if n > 0 {
		return n, nil
	}
	return 0, err // another process has truncated the file
}

// section returns a reader of blob i, which is verified.
func (j *job) section(i int) *io.SectionReader {
	if j.existing != nil {
		return io.NewSectionReader(j.existing, j.layout.Offset(j.blobs[i].Digest), j.blobs[i].Size)
	}
	if j.cached != nil {
		return j.cached.section(i)
	}
	return j.store.Blob(i).Section()
}

// upToDate ends the pull of an image whose archive exists.
func (j *job) upToDate(ctx context.Context) (Result, error) {
	j.reportProgress()
	if err := j.checkPlatform(); err != nil {
		return Result{}, err
	}
	if err := j.pushBlobs(ctx); err != nil {
		return Result{}, err
	}
	if err := j.deliver(ctx); err != nil {
		return Result{}, err
	}
	var blobs []string
	for _, b := range j.blobs {
		blobs = append(blobs, string(b.Digest))
	}
	if err := state.Tidy(j.out.work, blobs, ownBlobs); err != nil {
		j.warnOfDir(err)
	}
	r := j.result()
	r.UpToDate, r.Resumed = true, r.Size
	return r, nil
}

func (j *job) warnOfDir(err error) {
	j.call.warn(fmt.Sprintf("the image is complete, but segpull could not remove its part directory: %v; remove it by hand", err))
}

// close closes the files: the existing archive, those of the cache, or the part directory.
func (j *job) close() {
	if j.existing != nil {
		j.existing.Close()
	}
	if j.cached != nil {
		j.cached.close()
	}
	if j.store != nil {
		j.store.Close()
	}
}
