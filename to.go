package segpull

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/push"
	"github.com/segpull/segpull/sources"
)

// pushing is the push of one job's image.
type pushing struct {
	target *target
	ref    image.Reference // in the registry; without a tag, the image has only its digest there
	push   *push.Push
	there  map[digest.Digest]bool // the blobs that the registry had, if nothing else needs them
	had    int64                  // bytes of these
	ready  []chan struct{}        // closed when that blob is verified in the cache
	sent   atomic.Int64
}

// target is a registry that gets images.
type target struct {
	*sources.Target
	has map[digest.Digest]string // a repository that has got the blob in this call
}

// targets are the registries of a call, by name.
type targets map[string]*target

func (t targets) close() {
	for _, to := range t {
		to.Close()
	}
}

// checkTo refuses a name in the registry for several images.
func (o Options) checkTo(images int) error {
	if o.To == "" || images == 1 || strings.HasSuffix(o.To, "/") {
		return nil
	}
	return usage(fmt.Errorf("--to %s names one image, and the call has %d: give a prefix with a slash at its end", o.To, images))
}

// destinations returns a function for all jobs of a call, which finds where a job's image
// is pushed.
func (c *call) destinations() func(*job) error {
	seen := make(map[string]bool)
	return func(j *job) error {
		if c.opts.To == "" {
			return nil
		}
		ref, err := image.ParseTarget(c.opts.To, j.image.Reference)
		if err != nil {
			return usage(fmt.Errorf("--to: %w", err))
		}
		key := ref.String()
		if ref.Tag == "" {
			key += "@" + j.image.Reference.Digest.String()
		}
		if seen[key] {
			return usage(fmt.Errorf("%s: two images would be pushed to %s: name each image once", j.image.Reference, ref))
		}
		seen[key] = true
		to, err := c.target(ref.Registry)
		if err != nil {
			return err
		}
		j.push = &pushing{target: to, ref: ref}
		j.push.push = push.New(push.Options{
			Registry:    to,
			Repository:  ref.Repository,
			From:        j.mountFrom,
			Limit:       func(ctx context.Context, n int) error { return charge(ctx, c.limits.all, n) },
			Sent:        func(n int64) { j.push.sent.Add(n) },
			Trouble:     func(err error) { c.trouble(to.Registry(), err) },
			GiveUpAfter: c.opts.GiveUpAfter,
		})
		return nil
	}
}

// target returns the registry with a name.
func (c *call) target(name string) (*target, error) {
	if to := c.targets[name]; to != nil {
		return to, nil
	}
	to, err := sources.NewTarget(c.opts.Config, c.logins, name, c.warn)
	if err != nil {
		return nil, err
	}
	c.targets[name] = &target{to, make(map[digest.Digest]string)}
	return c.targets[name], nil
}

// mountFrom returns a repository of the registry that has a blob, or may have it: that of
// an earlier image of the call, or the image's own.
func (j *job) mountFrom(d digest.Digest) string {
	if from := j.push.target.has[d]; from != "" {
		return from
	}
	if own := j.image.Reference; own.Registry == j.push.ref.Registry && own.Repository != j.push.ref.Repository {
		return own.Repository
	}
	return ""
}

// name returns the name of an image in the registry.
func (p *pushing) name(root digest.Digest) string {
	if p.ref.Tag == "" {
		return p.ref.Name() + "@" + root.String()
	}
	return p.ref.String()
}

// inRegistry reports whether the registry has the image, and nothing else is to be done
// with it. Otherwise it finds which blobs the registry has.
func (j *job) inRegistry(ctx context.Context) (bool, error) {
	if j.push == nil {
		return false, nil
	}
	root := j.image.Manifest.Digest
	reference := j.push.ref.Tag
	if reference == "" {
		reference = root.String()
	}
	there, err := j.push.target.Digest(ctx, j.push.ref.Repository, reference)
	alone := j.out.path == "" && j.call.opts.Load == ""
	if err == nil && alone && there != root {
		err = j.findPushed(ctx)
	}
	return alone && there == root, j.pushError(ctx, err)
}

// findPushed finds the blobs that the registry has, there or in a repository from which it
// mounts them. The config is not among them: it is read for the platform.
func (j *job) findPushed(ctx context.Context) error {
	blobs := j.image.Blobs()
	there := make([]bool, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	for i, b := range blobs {
		if b.Digest != j.image.Config.Digest {
			group.Go(func() (err error) {
				there[i], err = j.push.push.HasOrMounts(ctx, b.Digest)
				return err
			})
		}
	}
	err := group.Wait()
	j.push.there = make(map[digest.Digest]bool)
	for i, b := range blobs {
		if there[i] {
			j.push.there[b.Digest] = true
			j.push.had += b.Size
		}
	}
	return err
}

// hadBytes returns how many bytes the registry had, and were not fetched for that; 0 for a
// nil pushing.
func (p *pushing) hadBytes() int64 {
	if p == nil {
		return 0
	}
	return p.had
}

// needed returns the blobs of the image, without those that only the registry would need,
// and has.
func (j *job) needed() []ocispec.Descriptor {
	blobs := j.image.Blobs()
	if j.push == nil {
		return blobs
	}
	return slices.DeleteFunc(blobs, func(b ocispec.Descriptor) bool { return j.push.there[b.Digest] })
}

// upToDateThere ends the pull of an image that the registry has.
func (j *job) upToDateThere() (Result, error) {
	j.announce()
	j.pushed()
	r := j.result()
	r.UpToDate, r.Resumed = true, r.Size
	return r, nil
}

// fetchAndPush fetches the missing blobs, and pushes each as soon as it is verified.
func (j *job) fetchAndPush(ctx context.Context) error {
	if j.push == nil {
		return j.fetch(ctx)
	}
	j.push.ready = make([]chan struct{}, len(j.blobs))
	for i := range j.push.ready {
		j.push.ready[i] = make(chan struct{})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return j.fetch(ctx) })
	group.Go(func() error { return j.pushBlobs(ctx) })
	return group.Wait()
}

// verified says that blob i is verified in the cache.
func (j *job) verified(i int) {
	if j.push != nil && j.push.ready != nil {
		close(j.push.ready[i])
	}
}

// wait waits until blob i is verified.
func (j *job) wait(ctx context.Context, i int) error {
	var err error
	switch {
	case j.existing != nil:
	case j.cached != nil:
		select {
		case <-j.push.ready[i]:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	default:
		err = j.transfer.Wait(ctx, i)
	}
	if err != nil {
		<-ctx.Done() // the error of the fetch says more
		return context.Cause(ctx)
	}
	return nil
}

// pushBlobs pushes the blobs, if the image is pushed.
func (j *job) pushBlobs(ctx context.Context) error {
	if j.push == nil {
		return nil
	}
	j.push.sent.Store(j.push.had)
	end := j.reportSending(ctx, j.push.name(j.image.Manifest.Digest), &j.push.sent)
	group, pushing := errgroup.WithContext(ctx)
	for i, b := range j.blobs {
		group.Go(func() error {
			if err := j.wait(pushing, i); err != nil {
				return err
			}
			return j.push.push.Blob(pushing, b, func() io.Reader { return j.section(i) })
		})
	}
	err := group.Wait()
	end(err)
	return j.pushError(ctx, err)
}

// pushManifests completes the image in the registry: the tag is the last.
func (j *job) pushManifests(ctx context.Context) error {
	if j.push == nil {
		return nil
	}
	err := j.pushInner(ctx)
	if err == nil {
		err = j.push.push.Manifest(ctx, j.image.Manifest, j.push.ref.Tag, j.image.ManifestBytes)
	}
	if err != nil {
		return j.pushError(ctx, err)
	}
	j.pushed()
	return nil
}

// pushInner pushes what an index lists: manifests at the same time, then inner indexes in
// their order.
func (j *job) pushInner(ctx context.Context) error {
	group, pushing := errgroup.WithContext(ctx)
	var indexes []image.Manifest
	for _, m := range j.image.Inner {
		if image.IsIndex(m.MediaType) {
			indexes = append(indexes, m)
			continue
		}
		group.Go(func() error { return j.push.push.Manifest(pushing, m.Descriptor, "", m.Bytes) })
	}
	err := group.Wait()
	for _, m := range indexes {
		if err == nil {
			err = j.push.push.Manifest(ctx, m.Descriptor, "", m.Bytes)
		}
	}
	return err
}

// pushed records that the registry has the image.
func (j *job) pushed() {
	for _, b := range j.image.Blobs() {
		j.push.target.has[b.Digest] = j.push.ref.Repository
	}
	root := j.image.Manifest.Digest
	j.delivered = append(j.delivered, Delivery{To: j.push.ref.Registry, Name: j.push.name(root), Digest: root.String()})
}

// pushError gives an error of the registry its class.
func (j *job) pushError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &classified{err, classOfReason(err)}
}
