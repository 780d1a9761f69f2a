package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

// maxRefers bounds the records that one manifest causes.
const maxRefers = 2 * image.MaxLayers

// PutManifest puts a manifest or an index into the cache, and marks it as used. Its
// media type is that of image.Refers. The sizes of what it names are known from now on,
// see Describe. The error says why the body is not a manifest, or is one of the file
// system, or the cause of ctx.
func (c *Cache) PutManifest(ctx context.Context, contentType string, body []byte) (ocispec.Descriptor, error) {
	mediaType, refers, err := parseManifest(body, contentType)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return d, c.change(ctx, func() error {
		for _, r := range refers {
			if err := c.announce(r); err != nil {
				return err
			}
		}
		return c.putManifest(d, body, refers)
	})
}

// announce records what a manifest says of a blob, unless more is known of it.
func (c *Cache) announce(d ocispec.Descriptor) error {
	if _, _, ok := c.record(d.Digest); ok {
		return nil
	}
	return c.writeRecord(d.Digest, record{MediaType: d.MediaType, Size: d.Size})
}

// putManifest writes the blob and then the record. Without the record, the blob is no
// manifest: it is put again.
func (c *Cache) putManifest(d ocispec.Descriptor, body []byte, refers []ocispec.Descriptor) error {
	if err := c.write(c.blobPath(d.Digest), body); err != nil {
		return err
	}
	info, err := os.Stat(c.blobPath(d.Digest))
	if err != nil {
		return err
	}
	return c.writeRecord(d.Digest, record{d.MediaType, d.Size, info.ModTime().UnixNano(), refers})
}

// parseManifest returns the media type of a body, and what it names.
func parseManifest(body []byte, contentType string) (mediaType string, refers []ocispec.Descriptor, err error) {
	mediaType, all, err := image.Refers(body, contentType)
	if err != nil {
		return "", nil, err
	}
	if len(all) > maxRefers {
		return "", nil, fmt.Errorf("a manifest that names %d blobs; the cache takes at most %d", len(all), maxRefers)
	}
	refers = []ocispec.Descriptor{}
	for _, d := range all {
		if err := check(d.Digest); err != nil {
			return "", nil, err
		}
		refers = append(refers, ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
	}
	return mediaType, refers, nil
}

// Name is what a tag was resolved to.
type Name struct {
	Registry   string        `json:"registry"`   // as in image.Reference: docker.io
	Repository string        `json:"repository"` // library/ubuntu
	Tag        string        `json:"tag"`
	Digest     digest.Digest `json:"digest"`
	Checked    time.Time     `json:"checked"` // when a source said so
	Source     string        `json:"source"`  // its name
}

func (n Name) reference() image.Reference {
	return image.Reference{Registry: n.Registry, Repository: n.Repository, Tag: n.Tag}
}

// SetName records a name, unless the cache has one for the tag that was checked later,
// and not in the future.
// The error says why a part of it is invalid, or is one of the file system, or the cause
// of ctx.
func (c *Cache) SetName(ctx context.Context, n Name) error {
	path, err := c.namePath(n.reference())
	if err == nil {
		err = check(n.Digest)
	}
	if err != nil {
		return err
	}
	return c.change(ctx, func() error {
		if known, err := c.Name(n.reference()); err == nil && known.Checked.After(n.Checked) && known.Checked.Before(time.Now()) {
			return nil
		}
		return c.write(path, encode(n))
	})
}

// Name returns what the tag of a reference was resolved to, whatever its digest. The
// error wraps fs.ErrNotExist if no name was set.
func (c *Cache) Name(ref image.Reference) (Name, error) {
	ref.Digest = ""
	path, err := c.namePath(ref)
	if err != nil {
		return Name{}, err
	}
	// A file system may ignore case.
	if n, _, ok := readName(path); ok && n.reference() == ref {
		return n, nil
	}
	return Name{}, fmt.Errorf("%s is not in the cache: %w", ref, fs.ErrNotExist)
}

func readName(path string) (n Name, set time.Time, ok bool) {
	set, ok = readJSON(path, &n)
	return n, set, ok && check(n.Digest) == nil
}

// namePath returns the path of a name. "@" distinguishes the tag b of a from the
// repository a/b.
func (c *Cache) namePath(ref image.Reference) (string, error) {
	if back, err := image.ParseReference(ref.String()); err != nil || back != ref || ref.Tag == "" {
		return "", errors.Join(fmt.Errorf("%q is not the name of a tag", ref.String()), err)
	}
	return filepath.Join(c.namesDir(), strings.ReplaceAll(ref.Registry, ":", "+"), filepath.FromSlash(ref.Repository), "@"+ref.Tag), nil
}
