package output

import (
	"context"
	"io"
	"os"
	"runtime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// Existing is an archive that was in its place before. It is safe for concurrent use.
type Existing struct {
	file   *os.File
	layout *archive.Layout
	blobs  []ocispec.Descriptor
	hashed []verify.Frontier
}

// Existing opens the archive if it is in its place already, with the right size and the
// right bytes around the blobs, after [Place.Plan]. Those include the manifest, so another
// image costs no hashing. Otherwise it returns nil, also for an archive that it cannot read:
// Write replaces that.
func (p *Place) Existing(blobs []ocispec.Descriptor) *Existing {
	if p.layout == nil {
		return nil
	}
	file, err := state.OpenOutput(p.Path)
	if err != nil {
		return nil
	}
	e := &Existing{file, p.layout, blobs, make([]verify.Frontier, len(blobs))}
	if !e.sameAround() {
		e.Close()
		return nil
	}
	return e
}

// sameAround reports whether the file has the size of the archive, and all bytes around the
// blobs.
func (e *Existing) sameAround() bool {
	info, err := e.file.Stat()
	if err != nil || info.Size() != e.layout.Size() {
		return false
	}
	same, err := e.layout.Finished(e.file)
	return same && err == nil
}

// Hash checks the digest of each blob. The error is a [*verify.MismatchError], that of the
// file, or the cause of ctx.
func (e *Existing) Hash(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, b := range e.blobs {
		group.Go(func() error { return e.hashed[i].Section(ctx, e.Section(i), string(b.Digest)) })
	}
	return group.Wait()
}

// Section returns a reader of blob i.
func (e *Existing) Section(i int) *io.SectionReader {
	b := e.blobs[i]
	return io.NewSectionReader(e.file, e.layout.Offset(b.Digest), b.Size)
}

// Done returns how many bytes of blob i are there, which is all, and how many Hash has seen.
func (e *Existing) Done(i int) (done, hashed int64) { return e.blobs[i].Size, e.hashed[i].Offset() }

// Wait returns at once: Hash has verified the blobs.
func (e *Existing) Wait(context.Context, int) error { return nil }

// Close closes the file.
func (e *Existing) Close() { e.file.Close() }
