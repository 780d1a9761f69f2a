package output

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/state"
)

// Plan returns where each of the image's blobs goes in the part file: at its offset in the
// archive, if the format has the blobs unchanged; otherwise one after the other. The error
// is that of [archive.Plan].
func (p *Place) Plan(img image.Image, blobs []ocispec.Descriptor) (placements []state.Placement, err error) {
	if p.OnDisk() && (p.Format == archive.DockerArchive || p.Format == archive.OCIArchive) {
		if p.layout, err = archive.Plan(img, p.Format); err != nil {
			return nil, err
		}
	}
	next := int64(0)
	for _, b := range blobs {
		offset := next
		if p.layout != nil {
			offset = p.layout.Offset(b.Digest)
		}
		placements = append(placements, state.Placement{Digest: string(b.Digest), Size: b.Size, Offset: offset})
		next = offset + b.Size
	}
	return placements, nil
}

// InPart reports whether the part file becomes the archive.
func (p *Place) InPart() bool { return p.layout != nil }

// FromCache says, after Plan, that the blobs do not go to the part file: Write copies them.
func (p *Place) FromCache() { p.layout = nil }

// OpenBlob opens a blob in the layout that is there already, if the format is that. Otherwise
// the error wraps fs.ErrNotExist.
func (p *Place) OpenBlob(ctx context.Context, b ocispec.Descriptor) (*os.File, error) {
	if p.Format != archive.OCI || !p.OnDisk() {
		return nil, fs.ErrNotExist
	}
	return archive.OpenBlob(ctx, p.Work, b)
}

// Write creates the archive from blobs, which are verified. It syncs it, and renames it from
// the part directory, which store has.
func (p *Place) Write(ctx context.Context, img image.Image, store *state.Store, blobs archive.Blobs) error {
	switch {
	case p.Path == "":
		return nil
	case p.layout != nil:
		if err := p.checkConfig(img, blobs); err != nil {
			return err
		}
		if err := p.layout.Finish(store.Part()); err != nil {
			return err
		}
		return p.irreplaceable(store.PromotePart(p.Path, p.layout.Size()))
	case p.Path == Stdout:
		return p.stream(ctx, img, blobs)
	case p.Format == archive.OCI:
		return archive.WriteDir(ctx, p.Work, img, blobs)
	}
	f, err := store.Create()
	if err != nil {
		return err
	}
	defer f.Close()
	err = archive.Write(ctx, f, img, p.Format, blobs)
	if err == nil {
		err = p.irreplaceable(store.Promote(f, p.Path))
	}
	if err != nil {
		return errors.Join(err, store.Discard())
	}
	return nil
}

// stream writes the archive to standard output. If nothing reads from that, a write does
// not end with ctx, so stream does not wait for it; it ends when the blobs are closed.
func (p *Place) stream(ctx context.Context, img image.Image, blobs archive.Blobs) error {
	written := make(chan error, 1)
	go func() { written <- archive.Write(ctx, p.stdout, img, p.Format, blobs) }()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkConfig returns an error if docker load would refuse the image.
func (p *Place) checkConfig(img image.Image, blobs archive.Blobs) error {
	if p.Format != archive.DockerArchive {
		return nil
	}
	config, err := archive.ReadConfig(img, blobs)
	if err != nil {
		return err
	}
	return archive.CheckConfig(img, config)
}

// irreplaceable explains why the last step failed: the file with the output's name
// cannot be replaced (a bind mount, or immutable).
func (p *Place) irreplaceable(err error) error {
	_, renaming := errors.AsType[*os.LinkError](err)
	inTheWay := errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EISDIR)
	if !renaming || !inTheWay {
		return err
	}
	return fmt.Errorf("cannot replace it: %w; remove it and run the same command again, or rename %s and give another output with --output: segpull keeps what it fetched",
		err, state.Dir(p.Work))
}
