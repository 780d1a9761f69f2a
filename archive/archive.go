package archive

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// Format is the form of an archive; the package comment describes each.
type Format string

// The formats, with the names that the command line has for them.
const (
	DockerArchive Format = "docker-archive"
	Legacy        Format = "legacy"
	OCI           Format = "oci"
	OCIArchive    Format = "oci-archive"
)

// Formats returns the names of the formats, the default first.
func Formats() []string {
	return []string{string(DockerArchive), string(Legacy), string(OCI), string(OCIArchive)}
}

// ParseFormat returns the format with a name; "" is [DockerArchive]. Any other name
// is an error.
func ParseFormat(s string) (Format, error) {
	if s == "" {
		return DockerArchive, nil
	}
	if !slices.Contains(Formats(), s) {
		return "", fmt.Errorf("format %q is not one of %s", s, strings.Join(Formats(), ", "))
	}
	return Format(s), nil
}

// Blobs has the verified blobs of an image.
type Blobs interface {
	// Blob returns the bytes of the blob with a digest. Several goroutines call it
	// at the same time.
	Blob(d digest.Digest) (*io.SectionReader, error)
}

// Write writes an image to w as a docker-archive, an oci-archive or a legacy
// archive; [OCI] is an error. The first two have the same bytes as an archive that
// [Plan] and [Layout.Finish] make. Write fails if docker load would refuse the
// image, unless the format is oci-archive. When ctx ends, Write returns its cause
// after at most one block of 16 MiB; it does not interrupt a write to w.
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
