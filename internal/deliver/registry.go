package deliver

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/push"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// Registries are the registries that get the images of one call.
type Registries struct {
	To     string // REGISTRY/REPOSITORY[:TAG], or REGISTRY/[PREFIX/] for any number of images
	Open   func(registry string) (*sources.Target, error)
	Limits *segment.Limits
	// Trouble gets the errors of requests that are made again, from many goroutines.
	Trouble func(source string, err error)
	// GiveUpAfter is how long a request may be silent.
	GiveUpAfter time.Duration

	open map[string]*registry
	seen map[string]bool // names of images, see Target
}

// registry is one of them.
type registry struct {
	target *sources.Target
	has    map[digest.Digest]string // a repository that has got the blob in this call
}

// Target is where an image goes in a registry.
type Target struct {
	registries *Registries
	registry   *registry
	ref        image.Reference // without a tag, the image has only its digest there
}

// Target finds where the image of a reference is pushed to. The error says what the user has
// to write otherwise, also if another image has the name, or is that of Open.
func (r *Registries) Target(own image.Reference) (*Target, error) {
	ref, err := image.ParseTarget(r.To, own)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	key := ref.String()
	if ref.Tag == "" {
		key += "@" + own.Digest.String()
	}
	if r.seen[key] {
		return nil, fmt.Errorf("%s: two images would be pushed to %s: name each image once", own, ref)
	}
	if r.open == nil {
		r.open, r.seen = make(map[string]*registry), make(map[string]bool)
	}
	r.seen[key] = true
	to := r.open[ref.Registry]
	if to == nil {
		target, err := r.Open(ref.Registry)
		if err != nil {
			return nil, err
		}
		to = &registry{target, make(map[digest.Digest]string)}
		r.open[ref.Registry] = to
	}
	return &Target{r, to, ref}, nil
}

// Close closes the idle connections.
func (r *Registries) Close() {
	for _, to := range r.open {
		to.target.Close()
	}
}

// Push is the push of one image. Its methods are called in the order in which they stand
// here; Blobs may run while the blobs arrive. Errors have the methods of those of
// [push.Registry].
type Push struct {
	registry *registry
	image    image.Image
	ref      image.Reference // in the registry; without a tag, the image has only its digest there
	push     *push.Push
	there    map[digest.Digest]bool // the blobs that the registry had, if Find was called
	had      int64                  // bytes of these
	sent     atomic.Int64
}

// Push prepares the push of an image.
func (t *Target) Push(img image.Image) *Push {
	p := &Push{registry: t.registry, image: img, ref: t.ref}
	r := t.registries
	p.push = push.New(push.Options{
		Registry:    t.registry.target,
		Repository:  t.ref.Repository,
		From:        p.mountFrom,
		Limit:       func(ctx context.Context, n int) error { return r.Limits.All().Charge(ctx, int64(n)) },
		Sent:        func(n int64) { p.sent.Add(n) },
		Trouble:     func(err error) { r.Trouble(t.registry.target.Registry(), err) },
		GiveUpAfter: r.GiveUpAfter,
	})
	return p
}

// Registry returns the name of the registry.
func (p *Push) Registry() string { return p.ref.Registry }

// mountFrom returns a repository of the registry that has a blob, or may have it: that of
// an earlier image of the call, or the image's own.
func (p *Push) mountFrom(d digest.Digest) string {
	if from := p.registry.has[d]; from != "" {
		return from
	}
	if own := p.image.Reference; own.Registry == p.ref.Registry && own.Repository != p.ref.Repository {
		return own.Repository
	}
	return ""
}

// Name returns the name of the image in the registry.
func (p *Push) Name() string {
	if p.ref.Tag == "" {
		return p.ref.Name() + "@" + p.image.Manifest.Digest.String()
	}
	return p.ref.String()
}

// Has reports whether the registry has the image under its name.
func (p *Push) Has(ctx context.Context) (bool, error) {
	root := p.image.Manifest.Digest
	reference := p.ref.Tag
	if reference == "" {
		reference = root.String()
	}
	there, err := p.registry.target.Digest(ctx, p.ref.Repository, reference)
	return there == root, err
}

// Find finds the blobs that the registry has, there or in a repository from which it
// mounts them. The config is not among them: it is read for the platform.
func (p *Push) Find(ctx context.Context) error {
	blobs := p.image.Blobs()
	there := make([]bool, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	for i, b := range blobs {
		if b.Digest != p.image.Config.Digest {
			group.Go(func() (err error) {
				there[i], err = p.push.HasOrMounts(ctx, b.Digest)
				return err
			})
		}
	}
	err := group.Wait()
	p.there = make(map[digest.Digest]bool)
	for i, b := range blobs {
		if there[i] {
			p.there[b.Digest] = true
			p.had += b.Size
		}
	}
	return err
}

// Needed returns the blobs of the image without those that Find has found.
func (p *Push) Needed() []ocispec.Descriptor {
	return slices.DeleteFunc(p.image.Blobs(), func(b ocispec.Descriptor) bool { return p.there[b.Digest] })
}

// Had returns how many bytes Find has found.
func (p *Push) Had() int64 { return p.had }

// Sent returns how many bytes the registry has, of those that it had and of Blobs.
func (p *Push) Sent() int64 { return p.had + p.sent.Load() }

// Blobs pushes blobs, each as soon as it is verified. If content cannot have one, Blobs
// waits until ctx ends, whose cause says why.
func (p *Push) Blobs(ctx context.Context, blobs []ocispec.Descriptor, content Content) error {
	group, pushing := errgroup.WithContext(ctx)
	for i, b := range blobs {
		group.Go(func() error {
			if content.Wait(pushing, i) != nil {
				<-pushing.Done()
				return context.Cause(pushing)
			}
			return p.push.Blob(pushing, b, func() io.Reader { return content.Section(i) })
		})
	}
	return group.Wait()
}

// Manifests completes the image in the registry: first the manifests that an index lists, at
// the same time, then inner indexes in their order, last the image's own with the tag.
func (p *Push) Manifests(ctx context.Context) error {
	group, pushing := errgroup.WithContext(ctx)
	var indexes []image.Manifest
	for _, m := range p.image.Inner {
		if image.IsIndex(m.MediaType) {
			indexes = append(indexes, m)
			continue
		}
		group.Go(func() error { return p.push.Manifest(pushing, m.Descriptor, "", m.Bytes) })
	}
	err := group.Wait()
	for _, m := range indexes {
		if err == nil {
			err = p.push.Manifest(ctx, m.Descriptor, "", m.Bytes)
		}
	}
	if err != nil {
		return err
	}
	return p.push.Manifest(ctx, p.image.Manifest, p.ref.Tag, p.image.ManifestBytes)
}

// Done records that the registry has the image, from which later images of the call are
// mounted.
func (p *Push) Done() {
	for _, b := range p.image.Blobs() {
		p.registry.has[b.Digest] = p.ref.Repository
	}
}
