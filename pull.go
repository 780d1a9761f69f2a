package segpull

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/deliver"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/internal/upstream"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// Pull pulls the images that refs name, such as "ubuntu:22.04" or
// "ghcr.io/team/app@sha256:…", and returns the results of those that it finished,
// in the order of refs. It resolves all references before it fetches the first
// layer, four at the same time. Then it pulls one image after the other, ends at the
// first error, and fetches a layer that several images share once. With Options.Batch
// it goes on with the other images after an error, which is then a *BatchError.
//
// Use errors.Is to find the class of an error, such as ErrNotFound. When ctx ends,
// Pull returns its cause within a second. Whatever the error, the bytes that
// arrived stay on disk, and the same call continues from there.
//
// Several calls may run at the same time. Two calls with the same output do not:
// the second ends with a *state.LockedError.
func Pull(ctx context.Context, opts Options, refs ...string) ([]Result, error) {
	c, err := newCall(opts)
	if err != nil {
		return nil, err
	}
	defer c.close()
	jobs, err := c.prepare(ctx, refs)
	if err != nil {
		return nil, class.MarkKnown(err)
	}
	var results []Result
	for i, j := range jobs {
		r, err := j.run(ctx)
		if err != nil {
			j.close() // its blobs are not verified, so no other image takes them
			if err = fmt.Errorf("%s: %w", j.name(), advise(err)); !c.goOn(ctx, j, err) {
				return results, class.MarkKnown(err)
			}
			continue
		}
		c.done = append(c.done, j)
		c.release(jobs[i+1:])
		results = append(results, r)
		c.report.notify(Finished{Result: r})
	}
	c.finishPuts(ctx)
	return results, c.failures(len(refs))
}

// call has what the images of one Pull share.
type call struct {
	opts       Options
	format     archive.Format
	platform   image.Platform
	report     *reporter
	limits     *Limits
	cache      *cache.Cache  // nil: none
	bucket     *bucket.Store // behind the cache; nil: none
	logins     *sources.Logins
	mirrors    *upstream.Mirrors
	engine     engine.Engine      // that gets the images, if opts.Load names one
	registries deliver.Registries // that get the images, if opts.To names one
	done       []*job             // jobs that are complete; later jobs take blobs from them
	failed     []ImageError       // images of a batch
	useless    map[string]bool    // sources that a warning named because they served nothing
}

func newCall(opts Options) (c *call, err error) {
	c = &call{opts: opts, format: archive.DockerArchive, platform: image.DefaultPlatform(), useless: make(map[string]bool)}
	if opts.Format != "" {
		if c.format, err = archive.ParseFormat(opts.Format); err != nil {
			return nil, usage(err)
		}
	}
	if opts.Platform != "" {
		if c.platform, err = image.ParsePlatform(opts.Platform); err != nil {
			return nil, usage(err)
		}
	}
	if err := opts.check(c.format); err != nil {
		return nil, usage(err)
	}
	c.opts.GiveUpAfter = cmp.Or(opts.GiveUpAfter, segment.DefaultGiveUp)
	c.limits = cmp.Or(opts.Limits, NewLimits(0))
	c.report = &reporter{observer: opts.Observer}
	c.logins = sources.NewLogins(opts.Authfile, c.report.warn)
	if c.cache, c.bucket, err = opts.openCache(c.report.warn); err != nil {
		return nil, usage(err)
	}
	c.registries = deliver.Registries{
		To: opts.To, Limits: c.limits, Trouble: c.report.trouble, GiveUpAfter: c.opts.GiveUpAfter,
		Open: func(name string) (*sources.Target, error) {
			return sources.NewTarget(opts.Config, c.logins, name, c.report.warn)
		},
	}
	c.mirrors = upstream.New(c.opts.upstream(c.report.upstream(), c.limits, c.cache, c.bucket, func(images sources.Images) (*sources.Set, []error, error) {
		config, names := opts.Config, opts.Mirrors
		if opts.Server != "" {
			config, names = opts.serverConfig()
		}
		return sources.New(config, c.logins, names, images)
	}))
	return c, nil
}

// openCache returns the cache that the options name, and the bucket behind it; nil without
// one.
func (o Options) openCache(warn func(string)) (c *cache.Cache, b *bucket.Store, err error) {
	if o.CacheDir == "" {
		return nil, nil, nil
	}
	c = cache.New(o.CacheDir, cmp.Or(o.CacheSize, cache.DefaultLimit))
	if o.Config.Cache == "" {
		return c, nil, nil
	}
	if b, err = bucket.Open(bucket.Options{URL: o.Config.Cache, Warn: warn}); err != nil {
		err = fmt.Errorf("cache in the configuration: %w", err)
	}
	return c, b, err
}

// upstream returns the options of the sources that newSet returns.
func (o Options) upstream(report upstream.Report, limits *Limits, c *cache.Cache, b *bucket.Store, newSet func(sources.Images) (*sources.Set, []error, error)) upstream.Options {
	return upstream.Options{
		New: newSet, Scope: o.Config.Scope, Cache: c, Bucket: b,
		Limits:      limits,
		Connections: o.Connections, SegmentSize: o.SegmentSize, GiveUpAfter: o.GiveUpAfter, NoRace: o.NoRace,
		HistoryFile: o.History, Report: report,
	}
}

// failed returns the event for an image that failed with err.
func failed(reference string, err error) Failed {
	e := Failed{Reference: reference, Message: err.Error()}
	if known := class.Of(err); known != nil {
		e.Class = known.Error()
	}
	return e
}

// goOn reports whether the call continues after the error of one image. Then it
// has recorded the error.
func (c *call) goOn(ctx context.Context, j *job, err error) bool {
	if !c.opts.Batch || ctx.Err() != nil {
		return false
	}
	c.failed = append(c.failed, ImageError{j.index, j.name(), class.MarkKnown(err)})
	c.report.notify(failed(j.name(), err))
	return true
}

// each calls f for each job, and returns those for which f returned nil. The error
// is that of the first other one, unless the call goes on.
func (c *call) each(ctx context.Context, jobs []*job, f func(*job) error) ([]*job, error) {
	var kept []*job
	for _, j := range jobs {
		err := f(j)
		switch {
		case err == nil:
			kept = append(kept, j)
		case !c.goOn(ctx, j, err):
			return nil, err
		}
	}
	return kept, nil
}

// failures returns the error of a call for so many images that has gone on after errors.
func (c *call) failures(images int) error {
	if len(c.failed) == 0 {
		return nil
	}
	slices.SortStableFunc(c.failed, func(a, b ImageError) int { return cmp.Compare(a.Index, b.Index) })
	return &BatchError{images, c.failed}
}

// release closes the finished images that have no blob of a coming image, or only blobs
// that another finished image has as well: each has a descriptor, and disk space if its
// part file has not become the output.
func (c *call) release(coming []*job) {
	wanted := make(map[digest.Digest]bool)
	for _, j := range coming {
		for _, b := range j.image.Blobs() {
			wanted[b.Digest] = true
		}
	}
	var kept []*job
	for _, j := range slices.Backward(c.done) {
		if !j.serves(wanted) {
			j.close()
			continue
		}
		kept = append(kept, j)
	}
	slices.Reverse(kept)
	c.done = kept
}

// serves reports whether the image has any of the wanted blobs, and removes these from
// wanted.
func (j *job) serves(wanted map[digest.Digest]bool) (serves bool) {
	for _, b := range j.blobs {
		serves = serves || wanted[b.Digest]
		delete(wanted, b.Digest)
	}
	return serves
}

// putSilence is how long a pull waits for puts into the bucket until it says so.
const putSilence = 2 * time.Second

// finishPuts waits until the bucket has what the call has fetched, or ctx ends.
func (c *call) finishPuts(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, putSilence)
	defer cancel()
	c.bucket.Flush(soon)
	if n := c.bucket.Putting(); n > 0 && ctx.Err() == nil {
		c.report.warnf("%d blobs are still being put into %s; the images are complete, so you may interrupt this", n, c.bucket.Name())
		c.bucket.Flush(ctx)
	}
}

func (c *call) close() {
	for _, j := range c.done {
		j.close()
	}
	c.mirrors.Close()
	c.registries.Close()
	c.bucket.Close(0)
}
