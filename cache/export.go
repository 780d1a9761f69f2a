package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
)

// Export adds every image that is complete for one platform at least to the OCI image
// layout in a directory, see archive.WriteTree, and returns how many it added, and
// which named images are not complete. An image has the name of its tag, and one name
// for each tag. skopeo finds no Docker manifest and no manifest list by its tag in a
// layout, so Export adds an OCI index of the manifest, or of those in the list.
func (c *Cache) Export(ctx context.Context, dir string) (added int, incomplete []Image, err error) {
	x, err := c.scan(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, r := range x.roots {
		names := r.names
		if len(names) == 0 {
			names = []Name{{}}
		}
		for _, n := range names {
			if !x.complete(r.digest) {
				if n.Tag != "" {
					incomplete = append(incomplete, Image{Registry: n.Registry, Repository: n.Repository, Tag: n.Tag, Digest: r.digest})
				}
				continue
			}
			if err := c.export(ctx, dir, x, r, n.reference()); err != nil {
				return added, incomplete, err
			}
			added++
		}
	}
	return added, incomplete, nil
}

func (c *Cache) export(ctx context.Context, dir string, x *index, r *root, name image.Reference) error {
	root, body, err := c.Manifest(ctx, r.digest)
	if err != nil {
		return err
	}
	switch root.MediaType {
	case image.MediaTypeDockerList:
		root, body, err = asIndex(body)
	case image.MediaTypeDockerManifest:
		root, body = indexOf(root)
	}
	if err != nil {
		return err
	}
	blobs := &exported{ctx: ctx, cache: c, root: root, body: body}
	defer blobs.close()
	var content []ocispec.Descriptor
	for _, d := range r.blobs {
		if e := x.blobs[d]; e.here && d != root.Digest {
			content = append(content, ocispec.Descriptor{Digest: d, Size: e.Size})
		}
	}
	return archive.WriteTree(ctx, dir, name, root, content, blobs)
}

// asIndex returns an OCI index of the manifests in a Docker manifest list.
func asIndex(list []byte) (ocispec.Descriptor, []byte, error) {
	fields := make(map[string]json.RawMessage)
	if err := json.Unmarshal(list, &fields); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	fields["mediaType"] = encode(ocispec.MediaTypeImageIndex)
	d, body := describe(encode(fields))
	return d, body, nil
}

// indexOf returns an OCI index of one manifest.
func indexOf(manifest ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	return describe(encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest},
	}))
}

// describe returns the descriptor of an OCI index, and its bytes.
func describe(index []byte) (ocispec.Descriptor, []byte) {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))}, index
}

// exported has the blobs of one export. It is the archive.Blobs of a writer that takes
// one after the other.
type exported struct {
	ctx   context.Context
	cache *Cache
	root  ocispec.Descriptor
	body  []byte // of root
	file  *os.File
}

// Blob implements archive.Blobs. It hashes each blob before.
func (e *exported) Blob(d digest.Digest) (*io.SectionReader, error) {
	if d == e.root.Digest {
		return io.NewSectionReader(bytes.NewReader(e.body), 0, e.root.Size), nil
	}
	e.close()
	f, err := e.cache.Open(e.ctx, d)
	if err != nil {
		return nil, err
	}
	e.file = f
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	right, err := isRight(e.ctx, f, d)
	if err == nil && !right {
		err = errors.Join(e.cache.Discard(e.ctx, d, f), errors.New("it was damaged, and segpull has removed it: pull the image again"))
	}
	return io.NewSectionReader(f, 0, info.Size()), err
}

func (e *exported) close() {
	if e.file != nil {
		e.file.Close()
	}
}
