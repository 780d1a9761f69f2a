package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// Layout is the plan of an archive: the offset of each blob, and the bytes between
// them. It does not change after [Plan], so it is safe for concurrent use.
type Layout struct {
	blobs   []ocispec.Descriptor
	gaps    [][]byte // gaps[i] is before blobs[i], the last gap is the end
	offsets map[digest.Digest]int64
	size    int64
}

// Plan returns the layout of a docker-archive or an oci-archive; the other formats
// are errors. The config and the layers are the last entries, and the layers are
// sorted by digest. Plan fails if img does not pass [image.Image.Validate], or if it
// is not a container image and f is [DockerArchive].
func Plan(img image.Image, f Format) (*Layout, error) {
	if err := img.Validate(); err != nil {
		return nil, err
	}
	p := planner{layout: Layout{offsets: make(map[digest.Digest]int64)}}
	p.dir(ocispec.ImageBlobsDir)
	p.dir(blobsDir)
	p.file(ocispec.ImageIndexFile, ociIndex(img))
	switch f {
	case DockerArchive:
		if err := checkLoadable(img); err != nil {
			return nil, err
		}
		p.file("manifest.json", dockerManifests(img))
	case OCIArchive:
	case OCI:
		return nil, errors.New("format oci is a directory and cannot go to a stream; choose oci-archive")
	default:
		return nil, fmt.Errorf("format %s cannot be planned: the sizes of its entries are unknown until its layers are there", f)
	}
	p.file(ocispec.ImageLayoutFile, ociLayout())
	for _, m := range img.Manifests() {
		p.file(blobPath(m.Digest), m.Bytes)
	}
	blobs := img.Blobs()
	layers := blobs
	if !img.IsIndex() {
		layers = blobs[1:]
	}
	slices.SortFunc(layers, func(a, b ocispec.Descriptor) int {
		return strings.Compare(a.Digest.String(), b.Digest.String())
	})
	for _, b := range blobs {
		p.blob(b)
	}
	return p.done()
}

// Offset returns the offset of a blob in the archive, in bytes, or -1 if it is not
// one of [image.Image.Blobs].
func (l *Layout) Offset(d digest.Digest) int64 {
	if at, ok := l.offsets[d]; ok {
		return at
	}
	return -1
}

// Size returns the size of the archive in bytes.
func (l *Layout) Size() int64 { return l.size }

// Finish writes all bytes of the archive except those of the blobs. Callers may
// write the blobs before or after, and may call Finish again.
func (l *Layout) Finish(w io.WriterAt) error {
	var at int64
	for i, gap := range l.gaps {
		if _, err := w.WriteAt(gap, at); err != nil {
			return err
		}
		at += int64(len(gap))
		if i < len(l.blobs) {
			at += l.blobs[i].Size
		}
	}
	return nil
}

// Finished reports whether r has all bytes that Finish writes. It does not read the
// blobs.
func (l *Layout) Finished(r io.ReaderAt) (bool, error) {
	var at int64
	for i, gap := range l.gaps {
		have := make([]byte, len(gap))
		if n, err := r.ReadAt(have, at); n < len(gap) && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(have, gap) {
			return false, nil
		}
		at += int64(len(gap))
		if i < len(l.blobs) {
			at += l.blobs[i].Size
		}
	}
	return true, nil
}

// stream writes the whole archive in order.
func (l *Layout) stream(ctx context.Context, w io.Writer, blobs Blobs) error {
	for i, gap := range l.gaps {
		if _, err := w.Write(gap); err != nil {
			return err
		}
		if i == len(l.blobs) {
			return nil
		}
		r, err := open(blobs, l.blobs[i])
		if err != nil {
			return err
		}
		if err := copySection(ctx, w, r); err != nil {
			return fmt.Errorf("blob %s: %w", l.blobs[i].Digest, err)
		}
	}
	return nil
}

// planner builds a layout from its entries in order. Its first error is kept for done.
type planner struct {
	layout Layout
	gap    []byte // grows until the next blob
	err    error
}

func (p *planner) dir(name string) {
	p.header(headerBytes(dirHeader(name)))
}

func (p *planner) file(name string, content []byte) {
	p.header(headerBytes(fileHeader(name, int64(len(content)))))
	p.gap = append(p.gap, content...)
	p.pad(int64(len(content)))
}

func (p *planner) blob(b ocispec.Descriptor) {
	p.header(headerBytes(fileHeader(blobPath(b.Digest), b.Size)))
	p.closeGap()
	p.layout.blobs = append(p.layout.blobs, b)
	p.layout.offsets[b.Digest] = p.layout.size
	p.layout.size += b.Size
	p.pad(b.Size)
}

func (p *planner) done() (*Layout, error) {
	p.gap = append(p.gap, make([]byte, tarTrailer)...)
	p.closeGap()
	return &p.layout, p.err
}

func (p *planner) header(b []byte, err error) {
	if p.err == nil {
		p.err = err
	}
	p.gap = append(p.gap, b...)
}

func (p *planner) pad(size int64) { p.gap = append(p.gap, make([]byte, padding(size))...) }

func (p *planner) closeGap() {
	p.layout.gaps = append(p.layout.gaps, p.gap)
	p.layout.size += int64(len(p.gap))
	p.gap = nil
}
