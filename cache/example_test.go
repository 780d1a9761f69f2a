package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
)

// newCache returns a cache in a new directory.
func newCache(limit int64) (c *cache.Cache, remove func()) {
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		panic(err)
	}
	return cache.New(dir, limit), func() { os.RemoveAll(dir) }
}

// put puts a blob into a cache. Instead of Write, a transfer fills the store.
func put(ctx context.Context, c *cache.Cache, text string) (ocispec.Descriptor, error) {
	blob := ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}
	part, err := c.Begin(ctx, blob, []string{"mirror"}, time.Minute)
	if errors.Is(err, fs.ErrExist) {
		return blob, nil // it is there
	}
	if err != nil {
		return blob, err
	}
	defer part.Close()
	if err := part.Store().Write(0, 0, []byte(text), 0); err != nil {
		return blob, err
	}
	return blob, part.Commit(ctx)
}

// putImage puts an image with one layer into a cache.
func putImage(ctx context.Context, c *cache.Cache, tag, layer string) {
	blob, err := put(ctx, c, layer)
	if err != nil {
		panic(err)
	}
	manifest, err := c.PutManifest(ctx, ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"config":{"digest":%[1]q,"size":%[2]d},"layers":[{"digest":%[1]q,"size":%[2]d}]}`, blob.Digest, blob.Size))
	if err != nil {
		panic(err)
	}
	err = c.SetName(ctx, cache.Name{
		Registry: "docker.io", Repository: "library/app", Tag: tag, Digest: manifest.Digest, Checked: time.Now(), Source: "mirror",
	})
	if err != nil {
		panic(err)
	}
}

func ExampleCache_Begin() {
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	blob, err := put(context.Background(), c, "the bytes of a layer")
	if err != nil {
		panic(err)
	}
	f, err := c.Open(context.Background(), blob.Digest)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	io.Copy(os.Stdout, f)
	// Output: the bytes of a layer
}

// The manifest of a tag gives the size of each blob, also of one that is not here.
func ExampleCache_Manifest() {
	ctx := context.Background()
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	putImage(ctx, c, "1", "layer")

	name, err := c.Name(image.Reference{Registry: "docker.io", Repository: "library/app", Tag: "1"})
	if err != nil {
		panic(err)
	}
	manifest, _, err := c.Manifest(ctx, name.Digest)
	fmt.Println(manifest.MediaType, err)
	layer, err := c.Describe(digest.FromString("layer"))
	fmt.Println(layer.Size, err)
	// Output:
	// application/vnd.oci.image.manifest.v1+json <nil>
	// 5 <nil>
}

func ExampleCache_Room() {
	ctx := context.Background()
	c, remove := newCache(500)
	defer remove()
	putImage(ctx, c, "1", "layer one")
	putImage(ctx, c, "2", "layer two")
	evicted, err := c.Room(ctx, 400, "") // for a third image
	fmt.Println(evicted.Images, err)
	// Output: 2 <nil>
}

func ExampleCache_Prune() {
	ctx := context.Background()
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	putImage(ctx, c, "1", "layer one")
	evicted, err := c.Prune(ctx, time.Now()) // all that is not in use now
	fmt.Println(evicted.Images, evicted.Blobs, err)
	// Output: 1 2 <nil>
}

func ExampleCache_Verify() {
	ctx := context.Background()
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	putImage(ctx, c, "1", "layer")
	verified, err := c.Verify(ctx)
	fmt.Println(verified.Blobs, len(verified.Damaged), err)
	// Output: 2 0 <nil>
}

func ExampleCache_List() {
	ctx := context.Background()
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	putImage(ctx, c, "1", "layer")
	list, err := c.List(ctx)
	fmt.Println(len(list.Blobs), list.Images[0].Repository, list.Images[0].Tag, err)
	// Output: 2 library/app 1 <nil>
}

func ExampleCache_Export() {
	ctx := context.Background()
	c, remove := newCache(cache.DefaultLimit)
	defer remove()
	putImage(ctx, c, "1", "layer")
	layout, err := os.MkdirTemp("", "layout")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(layout)
	added, incomplete, err := c.Export(ctx, layout) // for skopeo, umoci and others
	fmt.Println(added, len(incomplete), err)
	// Output: 1 0 <nil>
}
