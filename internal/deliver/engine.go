package deliver

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/engine"
)

// Image is an image whose blobs are verified, for an engine.
type Image struct {
	Image  image.Image
	Blobs  archive.Blobs
	Format archive.Format // Legacy, or any other, which is DockerArchive for an engine
	// Path returns the file of a blob, or "" if not each has one of its own.
	Path func(digest.Digest) string
	Dir  string // that exists, for files which Load removes
}

// Load gives an image to an engine, and returns the name that it has there. sent gets the
// bytes that the engine has got; podman reads them itself. The error says what to do, or is
// the cause of ctx.
func Load(ctx context.Context, to engine.Engine, img Image, sent func(bytes int64)) (name string, err error) {
	described := img.describe()
	if to.ReadsDir() {
		err = img.loadDir(ctx, to, described)
	} else {
		err = to.Load(ctx, described, func(w io.Writer) error { return img.write(ctx, counter{w, sent}) })
	}
	switch {
	case err != nil && to.Name() == "docker" && img.hasZstd():
		return "", fmt.Errorf("%w; Docker before version 23 reads no zstd layers: add --format legacy and run the command again: segpull keeps what it fetched", err)
	case err != nil:
		return "", fmt.Errorf("%w; segpull keeps what it fetched: run the same command again", err)
	}
	return to.NameOf(described), nil
}

// hasZstd reports whether a layer is compressed by zstd, and the engine would get it so.
func (img Image) hasZstd() bool {
	return img.Format != archive.Legacy && slices.ContainsFunc(img.Image.Layers, func(l ocispec.Descriptor) bool {
		return strings.HasSuffix(l.MediaType, "zstd")
	})
}

// describe returns the names, digests and platform of the image, for the engine.
func (img Image) describe() engine.Image {
	name := img.Image.ArchiveName()
	described := engine.Image{
		Repository: img.Image.Reference.Name(),
		Digest:     string(img.Image.Manifest.Digest),
		ID:         string(img.Image.Config.Digest),
		Platform:   img.Image.Platform.String(),
	}
	if name.Tag != "" {
		described.Name = name.Name() + ":" + name.Tag
	}
	return described
}

// write writes the archive that engines read.
func (img Image) write(ctx context.Context, w io.Writer) error {
	format := archive.DockerArchive
	if img.Format == archive.Legacy {
		format = archive.Legacy
	}
	return archive.Write(ctx, w, img.Image, format, img.Blobs)
}

// loadDir lets the engine read the blobs where they are. If they have no files of their own,
// as in an archive that was there before, they get them.
func (img Image) loadDir(ctx context.Context, to engine.Engine, described engine.Image) error {
	// The name of an image in podman, until LoadDir gives it the right one.
	dir := filepath.Join(img.Dir, "podman", "segpull-"+img.Image.Manifest.Digest.Encoded()[:12])
	err := os.MkdirAll(filepath.Dir(dir), 0o700)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(dir))
	if img.Path(img.Image.Config.Digest) != "" {
		err = archive.LinkDir(dir, img.Image, img.Path)
	} else {
		err = archive.WriteDir(ctx, dir, img.Image, img.Blobs)
	}
	if err != nil {
		return err
	}
	return to.LoadDir(ctx, described, dir)
}

// counter counts what is written.
type counter struct {
	io.Writer
	sent func(bytes int64)
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.sent(int64(n))
	return n, err
}
