package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"oras.land/oras-go/v2/registry/remote"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	repository = "library/bench"
	tag        = "1"
)

// image is an image and the registries that serve it.
type image struct {
	registrytest.Image
	origin    *registrytest.Server
	storage   string // directory of docker-registry; "" until a case needs it
	authority authority
}

// image makes a case's image, once for all cases of the same layers.
func (l *Lab) image(ctx context.Context, c Case) (*image, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(c.Layers)
	i, ok := l.images[key]
	if !ok {
		i = newImage(c)
		if l.images == nil {
			l.images = map[string]*image{}
		}
		l.images[key] = i
	}
	if c.Secure || c.Server == cdn {
		if err := i.certify(l.Dir); err != nil {
			return nil, err
		}
	}
	if c.Server == "" || i.storage != "" {
		return i, nil
	}
	return i, i.store(ctx, l.Dir)
}

// certify gives the image an authority, once.
func (i *image) certify(dir string) error {
	if i.authority.path != "" {
		return nil
	}
	dir, err := os.MkdirTemp(dir, "authority-")
	if err != nil {
		return err
	}
	i.authority, err = newAuthority(dir)
	return err
}

// Image is the image that the case's mirrors serve.
func (c Case) Image() registrytest.Image {
	return registrytest.NewImage(registrytest.ImageOptions{Layers: c.Layers, Seed: 1})
}

func newImage(c Case) *image {
	i := &image{
		Image:  c.Image(),
		origin: registrytest.New(),
	}
	i.origin.Push(repository, tag, i.Image)
	return i
}

func (i *image) blobs() []registrytest.Blob { return blobsOf(i.Image) }

func blobsOf(img registrytest.Image) []registrytest.Blob {
	return append([]registrytest.Blob{img.Config}, img.Layers...)
}

// size is the number of bytes that a pull has to fetch.
func (i *image) size() (size int64) {
	for _, b := range i.blobs() {
		size += b.Size
	}
	return size
}

// store pushes the image to a docker-registry. Later ones serve from its
// storage.
func (i *image) store(ctx context.Context, dir string) error {
	storage, err := os.MkdirTemp(dir, "registry-")
	if err != nil {
		return err
	}
	registry, err := ServeRegistry(program.Loopback{}, Registry{Dir: storage})
	if err != nil {
		return err
	}
	defer registry.Stop()
	if err := Push(ctx, registry.URL+"/"+repository, tag, i.Image); err != nil {
		return err
	}
	i.storage = storage
	return nil
}

// Push uploads an image with a tag to a repository, http://host:port/name.
func Push(ctx context.Context, repository, tag string, img registrytest.Image) error {
	to, err := remote.NewRepository(strings.TrimPrefix(repository, "http://"))
	if err != nil {
		return err
	}
	to.PlainHTTP = true
	for _, b := range blobsOf(img) {
		if err := to.Push(ctx, b.Descriptor, sectionOf(b)); err != nil {
			return fmt.Errorf("push blob %s: %w", b.Digest, err)
		}
	}
	return to.PushReference(ctx, img.Manifest.Descriptor, sectionOf(img.Manifest), tag)
}

func sectionOf(b registrytest.Blob) *io.SectionReader { return io.NewSectionReader(b, 0, b.Size) }

// stored is the file in which docker-registry keeps a blob.
func (i *image) stored(b registrytest.Blob) string {
	hex := b.Digest.Encoded()
	return filepath.Join(i.storage, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}
