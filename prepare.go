package segpull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
)

// prepare resolves all references. It reports invalid references and outputs before the first request,
// with the file names for the wanted platform.
func (c *call) prepare(ctx context.Context, names []string) ([]*job, error) {
	jobs, err := c.parse(ctx, names)
	if err != nil {
		return nil, err
	}
	name, err := c.opts.name(jobs)
	if err != nil {
		return nil, err
	}
	places, err := c.opts.places(c.format, len(names))
	if err != nil {
		return nil, err
	}
	if err := places.create(); err != nil {
		return nil, err
	}
	if jobs, err = c.each(ctx, jobs, places.plan()); err != nil {
		return nil, err
	}
	if err := c.opts.checkTo(len(names)); err != nil {
		return nil, err
	}
	if jobs, err = c.each(ctx, jobs, c.destinations()); err != nil {
		return nil, err
	}
	if jobs, err = c.each(ctx, jobs, c.loads()); err != nil {
		return nil, err
	}
	if err := c.findEngine(ctx); err != nil {
		return nil, err
	}
	resolve := func(j *job) error { return j.resolve(ctx, name, places.byPlatform()) }
	if jobs, err = c.each(ctx, jobs, resolve); err != nil {
		return nil, err
	}
	return c.each(ctx, jobs, places.plan())
}

// warnOfAliases warns, once for each name, of those that podman takes for other images.
func (c *call) warnOfAliases(names []string) {
	for i, name := range names {
		theirs, where, ok := c.opts.Config.Engines.Alias(name)
		if ok && !slices.Contains(names[:i], name) {
			c.warn(fmt.Sprintf("%s is Docker Hub's image here; podman takes it for %s, by %s: to pull that one, write its full name", name, theirs, where))
		}
	}
}

// parse returns a job for each reference.
func (c *call) parse(ctx context.Context, names []string) ([]*job, error) {
	if len(names) == 0 {
		return nil, usage(errors.New("no image given: name one, for example ubuntu:22.04"))
	}
	if n := len(c.opts.Platforms); n > 0 && n != len(names) {
		return nil, usage(fmt.Errorf("Options.Platforms has %d platforms for %d images: give one for each", n, len(names)))
	}
	var jobs []*job
	for i, name := range names {
		jobs = append(jobs, &job{call: c, index: i, written: name})
	}
	c.warnOfAliases(names)
	return c.each(ctx, jobs, (*job).parse)
}

// parse reads the job's reference and platform.
func (j *job) parse() (err error) {
	if j.image.Reference, err = image.ParseReference(j.written); err != nil {
		return usage(err)
	}
	if j.image.Platform = j.call.platform; j.call.opts.AllPlatforms {
		j.image.Platform = image.All
	}
	if own := j.call.opts.Platforms; len(own) > 0 && own[j.index] != "" {
		if j.image.Platform, err = image.ParsePlatform(own[j.index]); err != nil {
			return usage(err)
		}
	}
	return nil
}

// name returns the image's name in the archive, or zero if Name is not set.
func (o Options) name(jobs []*job) (image.Reference, error) {
	if o.Name == "" || len(jobs) == 0 {
		return image.Reference{}, nil
	}
	if o.To != "" && o.Output == "" && o.Load == "" {
		return image.Reference{}, usage(fmt.Errorf("name %q is for an archive or an engine, and the name in the registry comes from --to: leave out --name", o.Name))
	}
	if len(jobs) > 1 {
		return image.Reference{}, usage(fmt.Errorf("name %q can apply to only one image, and the call has %d: pull them one by one", o.Name, len(jobs)))
	}
	name, err := image.ParseName(o.Name, jobs[0].image.Reference)
	if err != nil {
		return image.Reference{}, usage(err)
	}
	return name, nil
}

// resolve finds the image of the job's reference, gives it the name for the archive, and warns of surprises.
// To read the platform of an image without an index costs a round trip, so resolve does it only if the name
// of the output has the platform; otherwise checkPlatform reads it at the end.
func (j *job) resolve(ctx context.Context, name image.Reference, needPlatform bool) (err error) {
	ref, wanted := j.image.Reference, j.image.Platform
	if j.set, err = j.call.sources(ref); err != nil {
		return err
	}
	j.set.Waiting = func(sources []string) { j.call.notify(Waiting{Reference: familiar(ref), Sources: sources}) }
	j.set.Stalled = func(silent time.Duration, reasons []error) { j.call.stalled(ref, silent, reasons) }
	if !j.call.known(ctx, ref) {
		j.call.warm(ctx, j.set, ref)
	}
	j.asked = time.Now()
	f := &fetcher{set: j.set, call: j.call}
	img, err := j.find(ctx, f)
	switch {
	case err != nil && j.call.opts.Server != "":
		return fmt.Errorf("%w; the log of the server may say more", err)
	case classOf(err) == ErrNetwork && unreachable(err):
		return fmt.Errorf("%w; check the network, or give other mirrors with --mirror", err)
	case classOf(err) == ErrNetwork:
		return fmt.Errorf("%w; try again later, or give other mirrors with --mirror", err)
	case notFound(err):
		return fmt.Errorf("%w; check the name and the tag, or give other mirrors with --mirror", err)
	case err != nil:
		return err
	}
	if needPlatform {
		if img, err = image.ReadPlatform(ctx, f, img); err != nil {
			return err
		}
	}
	if err := f.keep(ctx); err != nil {
		return err
	}
	img.Name = name
	j.image, j.resolver = img, j.set.Resolver(ref)
	if !j.call.opts.AllPlatforms {
		j.warnOfPlatform(wanted)
	}
	j.warnOfIndex()
	j.warnOfNameless()
	return nil
}

// find finds the image for the platform, or the index.
func (j *job) find(ctx context.Context, f image.Fetcher) (image.Image, error) {
	if j.call.opts.AllPlatforms {
		return image.ResolveAll(ctx, f, j.image.Reference)
	}
	return image.Resolve(ctx, f, j.image.Reference, j.image.Platform)
}

// warm opens connections for the blobs of ref while it is resolved: as many as were
// worth having the last time, and no more than the fetch will start with.
func (c *call) warm(ctx context.Context, set *sources.Set, ref image.Reference) {
	history, all := sources.LoadHistory(c.opts.History), set.Sources()
	set.Warm(ctx, ref, func(src *sources.Source) sources.Start {
		record := history[src.Name()]
		own := c.limits.mirror(src.Name(), src.LimitRate())
		return sources.Start{
			Connections: max(segment.FirstConnections, record.Connections),
			Most:        min(transfer.MostConnections(c.opts.Connections, src, len(all)), segment.AtFirst(c.limits.all, own, len(all))),
			Token:       record.Burst == 0, // else it counts requests
		}
	})
}

// warnOfPlatform warns of an image for another platform than the wanted one: a reference to a manifest has no
// other.
func (j *job) warnOfPlatform(asked image.Platform) {
	if p := j.image.Platform; p.OS != asked.OS || p.Architecture != asked.Architecture {
		j.call.warn(fmt.Sprintf("%s is for %s, not %s: this reference has an image for no other platform", j.name(), p, asked))
	}
}

// warnOfIndex warns of a digest that names an index: engines list the image under another digest.
func (j *job) warnOfIndex() {
	if ref := j.image.Reference; ref.Digest != "" && ref.Digest != j.image.Manifest.Digest {
		other := ""
		if j.push != nil {
			other = ", or give --all-platforms to push the index"
		}
		j.call.warn(fmt.Sprintf("%s: the digest is that of an index; segpull takes one platform of it, %s, which engines list under its own digest, %s: use that digest to pin this image%s",
			j.name(), j.image.Platform, j.image.Manifest.Digest, other))
	}
}

// warnOfNameless warns of an image that has a tag but no name in the archive.
func (j *job) warnOfNameless() {
	if j.image.Reference.Tag != "" && j.image.ArchiveName() == (image.Reference{}) {
		j.call.warn(fmt.Sprintf("%s: the archive does not name the image, because docker load up to version 24 refuses names with an IPv6 address: give it another name with --name", j.name()))
	}
}

// fetcher is the image.Fetcher of a set of sources. It charges the bytes that it fetches to the limit for all
// traffic, and warns of rejected sources. It asks no source for what the cache has.
type fetcher struct {
	set  *sources.Set
	call *call

	mu      sync.Mutex
	fetched []manifest // what led to the image, from sources
}

// manifest is a manifest or an index, as a source or the bucket served it.
type manifest struct {
	mediaType  string
	body       []byte
	fromBucket bool
}

// Fetch implements image.Fetcher.
func (f *fetcher) Fetch(ctx context.Context, ref image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if f.call.cache != nil && want.Digest != "" {
		if got, body, err := f.call.cache.Manifest(ctx, want.Digest); err == nil {
			return got, body, nil
		}
		if mediaType, body, ok := f.call.bucket.Read(ctx, want.Digest, image.MaxManifestSize); ok {
			return f.took(ctx, manifest{mediaType, body, true})
		}
	}
	got, body, err := f.set.Fetch(ctx, ref, want)
	if err != nil {
		return got, body, err
	}
	return f.took(ctx, manifest{got.MediaType, body, false})
}

// took charges a manifest to the limit, and remembers it for keep.
func (f *fetcher) took(ctx context.Context, m manifest) (ocispec.Descriptor, []byte, error) {
	f.mu.Lock()
	f.fetched = append(f.fetched, m)
	f.mu.Unlock()
	d := ocispec.Descriptor{MediaType: m.mediaType, Digest: digest.FromBytes(m.body), Size: int64(len(m.body))}
	return d, m.body, charge(ctx, f.call.limits.all, len(m.body))
}

// Blob implements image.Fetcher.
func (f *fetcher) Blob(ctx context.Context, ref image.Reference, b ocispec.Descriptor) ([]byte, error) {
	if f.call.cache != nil {
		if body, err := f.call.cache.Read(ctx, b); err == nil {
			return body, nil
		}
		if _, body, ok := f.call.bucket.Read(ctx, b.Digest, b.Size); ok {
			return body, charge(ctx, f.call.limits.all, len(body))
		}
	}
	body, err := f.set.Blob(ctx, ref, b)
	if err == nil {
		err = charge(ctx, f.call.limits.all, len(body))
	}
	return body, err
}

// keep puts the manifests that led to the image into the cache, if the call has one.
func (f *fetcher) keep(ctx context.Context) error {
	for _, m := range f.fetched {
		if f.call.cache == nil {
			break
		}
		d, err := f.call.cache.PutManifest(ctx, m.mediaType, m.body)
		if err != nil {
			return explainCache(f.call.cache, err)
		}
		if !m.fromBucket {
			f.call.bucket.PutSmall(d.MediaType, m.body)
		}
	}
	return nil
}

// charge waits until the limiter has permitted this number of bytes.
func charge(ctx context.Context, limiter *segment.Limiter, bytes int) error {
	for left := int64(bytes); left > 0; {
		n, err := limiter.Take(ctx, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// Reject implements image.Fetcher.
func (f *fetcher) Reject(ref image.Reference, reason error) (source string, more bool) {
	f.fetched = nil
	source, more = f.set.Reject(ref, reason)
	if more {
		f.call.warn(fmt.Sprintf("mirror %s: its answer for %s is not usable: %s; segpull asks the next source",
			source, familiar(ref), image.Reason(ref, reason)))
	}
	return source, more
}
