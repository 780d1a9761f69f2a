package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

// blobs are verified blobs in memory. It is the archive.Blobs of these examples.
type blobs map[digest.Digest]registrytest.Blob

func (b blobs) Blob(d digest.Digest) (*io.SectionReader, error) {
	blob, ok := b[d]
	if !ok {
		return nil, fmt.Errorf("no blob %s", d)
	}
	return io.NewSectionReader(blob.ReaderAt, 0, blob.Size), nil
}

// exampleImage returns an image with one layer, as image.Resolve would, and its
// blobs.
func exampleImage() (image.Image, blobs) {
	made := registrytest.NewImage(registrytest.ImageOptions{
		Platform: "linux/amd64", Layers: []int64{10 << 10}, Compression: registrytest.Uncompressed,
	})
	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	manifest, err := io.ReadAll(io.NewSectionReader(made.Manifest.ReaderAt, 0, made.Manifest.Size))
	if err != nil {
		panic(err)
	}
	layer := made.Layers[0]
	return image.Image{
		Reference:     ref,
		Platform:      image.Platform{OS: "linux", Architecture: "amd64"},
		Digest:        made.Manifest.Digest,
		Manifest:      made.Manifest.Descriptor,
		ManifestBytes: manifest,
		Config:        made.Config.Descriptor,
		Layers:        []ocispec.Descriptor{layer.Descriptor},
	}, blobs{made.Config.Digest: made.Config, layer.Digest: layer}
}

// Write streams an archive, here into memory.
func ExampleWrite() {
	img, blobs := exampleImage()
	var stream bytes.Buffer
	if err := archive.Write(context.Background(), &stream, img, archive.DockerArchive, blobs); err != nil {
		panic(err)
	}
	files := tar.NewReader(&stream)
	for {
		entry, err := files.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(err)
		}
		fmt.Printf("%.13s\n", entry.Name) // without the digest
	}
	// Output:
	// blobs/
	// blobs/sha256/
	// index.json
	// manifest.json
	// oci-layout
	// blobs/sha256/
	// blobs/sha256/
	// blobs/sha256/
}

// A plan says where each blob belongs, so that a download can write its bytes
// directly into the archive, in any order.
func ExamplePlan() {
	img, blobs := exampleImage()
	layout, err := archive.Plan(img, archive.OCIArchive)
	if err != nil {
		panic(err)
	}
	f, err := os.CreateTemp("", "app-*.tar")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	for digest, blob := range blobs {
		if _, err := io.Copy(io.NewOffsetWriter(f, layout.Offset(digest)), io.NewSectionReader(blob.ReaderAt, 0, blob.Size)); err != nil {
			panic(err)
		}
	}
	if err := layout.Finish(f); err != nil {
		panic(err)
	}

	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	finished, err := layout.Finished(f)
	fmt.Println(info.Size() == layout.Size(), finished, err)
	// Output: true true <nil>
}

// A directory holds any number of images, which share blobs.
func ExampleWriteDir() {
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := archive.CheckDir(dir); err != nil {
		panic(err)
	}
	img, blobs := exampleImage()
	if err := archive.WriteDir(context.Background(), dir, img, blobs); err != nil {
		panic(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		fmt.Println(filepath.Base(name))
	}

	layer, err := archive.OpenBlob(context.Background(), dir, img.Layers[0])
	if err != nil {
		panic(err)
	}
	defer layer.Close()
	fmt.Println(io.Copy(io.Discard, layer))
	// Output:
	// blobs
	// index.json
	// oci-layout
	// 10240 <nil>
}

func ExampleParseFormat() {
	fmt.Println(archive.ParseFormat(""))
	fmt.Println(archive.ParseFormat("zip"))
	// Output:
	// docker-archive <nil>
	//  format "zip" is not one of docker-archive, legacy, oci, oci-archive
}

// docker load refuses an image whose config names another number of layers than
// its manifest.
func ExampleCheckConfig() {
	img, _ := exampleImage()
	err := archive.CheckConfig(img, []byte(`{"rootfs":{"diff_ids":[]}}`))
	fmt.Println(strings.Replace(err.Error(), img.Config.Digest.String(), "DIGEST", 1))
	// Output: config DIGEST has 0 diff IDs but its manifest has 1 layers, so docker load would refuse it; choose the format oci or oci-archive
}

func ExampleReadConfig() {
	img, content := exampleImage()
	config, err := archive.ReadConfig(img, content)
	fmt.Println(digest.FromBytes(config) == img.Config.Digest, err)
	// Output: true <nil>
}

// A layout keeps the index of an image of several platforms.
func ExampleWriteTree() {
	img, content := exampleImage()
	content[img.Manifest.Digest] = registrytest.NewBlob(img.Manifest.MediaType, img.ManifestBytes)
	index := registrytest.NewBlob(ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
		`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, img.Manifest.MediaType, img.Manifest.Digest, img.Manifest.Size))
	content[index.Digest] = index
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	all := append(img.Blobs(), img.Manifest)
	fmt.Println(archive.WriteTree(context.Background(), dir, img.Reference, index.Descriptor, all, content))
	files, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	fmt.Println(len(files), err)
	// Output:
	// <nil>
	// 4 <nil>
}

// A program reads an image from a layout of links.
func ExampleLinkDir() {
	img, content := exampleImage()
	dir, err := os.MkdirTemp("", "links")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := func(d digest.Digest) string { return filepath.Join(dir, d.Encoded()) }
	for d, b := range content {
		body := make([]byte, b.Size)
		if _, err := b.ReadAt(body, 0); err != nil {
			panic(err)
		}
		if err := os.WriteFile(path(d), body, 0o600); err != nil {
			panic(err)
		}
	}

	layout := filepath.Join(dir, "layout")
	fmt.Println(archive.LinkDir(layout, img, path))
	layer, err := os.ReadFile(filepath.Join(layout, "blobs", "sha256", img.Layers[0].Digest.Encoded()))
	fmt.Println(len(layer), err)
	// Output:
	// <nil>
	// 10240 <nil>
}
