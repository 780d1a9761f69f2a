package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// Format is a form in which an image is written.
type Format string

// The formats, as they are named on the command line.
const (
	DockerArchive Format = "docker-archive"
	Legacy        Format = "legacy"
	OCI           Format = "oci"
	OCIArchive    Format = "oci-archive"
)

// ParseFormat reads a format's name; "" is [DockerArchive].
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return DockerArchive, nil
	case DockerArchive, Legacy, OCI, OCIArchive:
		return f, nil
	}
	return "", fmt.Errorf("format %q is not one of %s, %s, %s, %s", s, DockerArchive, Legacy, OCI, OCIArchive)
}

// Blobs gives verified blobs.
type Blobs interface {
	// Blob returns the blob of a digest. It is called from several goroutines at once.
	Blob(d digest.Digest) (*io.SectionReader, error)
}

// Write streams an image to w as a docker-archive, an oci-archive or a legacy archive. The first two have
// the bytes that [Plan] and [Layout.Finish] give. It stops between blocks when ctx is done.
func Write(ctx context.Context, w io.Writer, img image.Image, f Format, blobs Blobs) error {
	if f == Legacy {
		return writeLegacy(ctx, w, img, blobs)
	}
	l, err := Plan(img, f)
	if err != nil {
		return err
	}
	if f == DockerArchive {
		if _, err := readConfig(img, blobs); err != nil {
			return err
		}
	}
	return l.stream(ctx, w, blobs)
}

// open returns a blob, of the size that the manifest gives it.
func open(blobs Blobs, d ocispec.Descriptor) (*io.SectionReader, error) {
	r, err := blobs.Blob(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if r.Size() != d.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, its manifest says %d", d.Digest, r.Size(), d.Size)
	}
	return r, nil
}
