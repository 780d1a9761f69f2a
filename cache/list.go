package cache

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Listing is what a cache has. encoding/json writes its lists as [] where they are
// empty.
type Listing struct {
	Size       int64   `json:"size"`       // bytes of all blobs
	Unfinished int64   `json:"unfinished"` // bytes of blobs that are being fetched, or will be continued
	Blobs      []Blob  `json:"blobs"`      // by digest
	Images     []Image `json:"images"`     // by name
}

// Blob is a blob that is here.
type Blob struct {
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"`      // bytes
	LastUsed time.Time     `json:"last_used"` // within a second
}

// Image is a name, and what is here of its image.
type Image struct {
	Registry   string        `json:"registry"`
	Repository string        `json:"repository"`
	Tag        string        `json:"tag"`
	Digest     digest.Digest `json:"digest"`    // of its manifest or index
	Size       int64         `json:"size"`      // bytes of its blobs that are here; other images may share them
	Complete   bool          `json:"complete"`  // for one platform at least
	LastUsed   time.Time     `json:"last_used"` // within a second
}

// List returns what the cache has.
func (c *Cache) List(ctx context.Context) (Listing, error) {
	l := Listing{Blobs: []Blob{}, Images: []Image{}}
	x, err := c.scan(ctx)
	if err != nil {
		return l, err
	}
	for _, d := range slices.Sorted(maps.Keys(x.blobs)) {
		if e := x.blobs[d]; e.here {
			l.Size += e.Size
			l.Blobs = append(l.Blobs, Blob{d, e.Size, e.used})
		}
	}
	for _, p := range x.parts {
		l.Unfinished += c.Arrived(p.digest)
	}
	for _, r := range x.roots {
		for _, n := range r.names {
			l.Images = append(l.Images, Image{n.Registry, n.Repository, n.Tag, r.digest, x.size(r), x.complete(r.digest), r.used})
		}
	}
	slices.SortFunc(l.Images, func(a, b Image) int { return strings.Compare(a.key(), b.key()) })
	return l, nil
}

func (i Image) key() string { return i.Registry + "/" + i.Repository + ":" + i.Tag }

// size returns how many bytes of an image are here.
func (x *index) size(r *root) (n int64) {
	for _, d := range r.blobs {
		if e := x.blobs[d]; e.here {
			n += e.Size
		}
	}
	return n
}

// complete reports whether all blobs of a manifest are here, or of one manifest of an
// index.
func (x *index) complete(d digest.Digest) bool {
	e := x.blobs[d]
	missing := func(b ocispec.Descriptor) bool { return !x.blobs[b.Digest].here }
	inner := func(b ocispec.Descriptor) bool { return x.blobs[b.Digest].Refers != nil }
	if slices.ContainsFunc(e.Refers, inner) {
		return e.here && slices.ContainsFunc(e.Refers, func(b ocispec.Descriptor) bool { return inner(b) && x.complete(b.Digest) })
	}
	return e.here && e.Refers != nil && !slices.ContainsFunc(e.Refers, missing)
}

// Usage returns how many blobs the cache has, and the bytes of all blobs, with those of
// unfinished ones.
func (c *Cache) Usage(ctx context.Context) (blobs int, bytes int64, err error) {
	err = walk(c.blobsDir(), func(string, fs.DirEntry) error {
		blobs++
		return context.Cause(ctx)
	})
	if err != nil {
		return 0, 0, err
	}
	bytes, err = c.size()
	return blobs, bytes, err
}
