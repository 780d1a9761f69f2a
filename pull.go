package segpull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// Pull pulls the images that refs name, such as "ubuntu:22.04" or
// "ghcr.io/team/app@sha256:…", and returns the results of those that it finished,
// in the order of refs. It resolves all references before it fetches the first
// layer, pulls one image after the other, ends at the first error, and fetches a
// layer that several images share once. With Options.Batch it goes on with the
// other images after an error, which is then a *BatchError.
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
		return nil, classify(err)
	}
	var results []Result
	for i, j := range jobs {
		r, err := j.run(ctx)
		if err != nil {
			j.close() // its blobs are not verified, so no other image takes them
			if err = fmt.Errorf("%s: %w", j.name(), advise(err)); !c.goOn(ctx, j, err) {
				return results, classify(err)
			}
			continue
		}
		c.done = append(c.done, j)
		c.release(jobs[i+1:])
		results = append(results, r)
		c.notify(Finished{Result: r})
	}
	c.finishPuts(ctx)
	return results, c.failures(len(refs))
}

// call has what the images of one Pull share.
type call struct {
	opts     Options
	format   archive.Format
	platform image.Platform
	limits   *Limits
	cache    *cache.Cache  // nil: none
	bucket   *bucket.Store // behind the cache; nil: none
	logins   *sources.Logins
	newSet   func(images sources.Images) (*sources.Set, []error, error)
	sets     map[string]*sources.Set // by sources.Config.Scope
	done     []*job                  // jobs that are complete; later jobs take blobs from them
	failed   []ImageError            // images of a batch
	corrupt  verify.Corrupt          // sources that sent wrong bytes
	engine   engine.Engine           // that gets the images, if opts.Load names one
	targets  targets                 // the registries that get the images, if opts.To names one

	mu sync.Mutex // held while Observer.Observe runs
}

func newCall(opts Options) (*call, error) {
	c := &call{opts: opts, sets: make(map[string]*sources.Set), targets: make(targets), format: archive.DockerArchive, platform: image.DefaultPlatform()}
	var err error
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
	if opts.Load != "" && !engine.IsName(opts.Load) {
		return nil, usage(fmt.Errorf("engine %q is unknown; use one of %s", opts.Load, strings.Join(Engines(), ", ")))
	}
	if err := errors.Join(opts.checkAllPlatforms(c.format), opts.checkPlace(), opts.checkServer()); err != nil {
		return nil, usage(err)
	}
	if opts.Connections < 0 || opts.SegmentSize < 0 || opts.GiveUpAfter < 0 {
		return nil, usage(errors.New("neither Connections nor SegmentSize nor GiveUpAfter may be negative"))
	}
	if opts.CacheSize < 0 {
		return nil, usage(errors.New("CacheSize must not be negative"))
	}
	if opts.CacheDir != "" {
		c.cache = cache.New(opts.CacheDir, cmp.Or(opts.CacheSize, cache.DefaultLimit))
		if err := c.openBucket(); err != nil {
			return nil, usage(err)
		}
	}
	if opts.GiveUpAfter == 0 {
		c.opts.GiveUpAfter = segment.DefaultGiveUp
	}
	c.limits = cmp.Or(opts.Limits, NewLimits(0))
	c.logins = sources.NewLogins(opts.Authfile, c.warn)
	c.newSet = func(images sources.Images) (*sources.Set, []error, error) {
		if opts.Server != "" {
			config, name := opts.serverConfig()
			return sources.New(config, c.logins, []string{name}, images)
		}
		return sources.New(opts.Config, c.logins, opts.Mirrors, images)
	}
	return c, nil
}

// checkAllPlatforms refuses what AllPlatforms excludes.
func (o Options) checkAllPlatforms(format archive.Format) error {
	onePlatform := format == archive.DockerArchive || format == archive.Legacy
	switch {
	case !o.AllPlatforms:
	case o.Platform != "" || strings.Join(o.Platforms, "") != "":
		return errors.New("all platforms and one platform exclude each other: give --all-platforms or --platform")
	case o.Load != "":
		return errors.New("an engine gets one platform: leave out --all-platforms or --load")
	case o.written() && onePlatform && (o.Output != "" || o.To == ""):
		return fmt.Errorf("format %s holds one platform: give --format oci or oci-archive with --all-platforms, or --to", format)
	}
	return nil
}

// written reports whether the image is written somewhere, or sent there.
func (o Options) written() bool { return !o.CacheOnly && o.Server == "" }

// checkPlace refuses what CacheOnly and Server exclude.
func (o Options) checkPlace() error {
	switch {
	case o.written():
	case o.CacheOnly && o.Server != "":
		return errors.New("CacheOnly and Server exclude each other: give one of them")
	case o.Output != "" || o.Name != "" || o.Load != "" || o.To != "":
		return errors.New("with CacheOnly and Server, an image goes nowhere else: leave out Output, Name, Load and To")
	case o.CacheOnly && o.CacheDir == "":
		return errors.New("CacheOnly needs a CacheDir")
	case o.Server != "" && (o.CacheDir != "" || len(o.Mirrors) > 0):
		return errors.New("a server has mirrors and a cache of its own: leave out Mirrors and CacheDir")
	}
	return nil
}

// sources returns the sources for a reference, and reports the warnings about them.
func (c *call) sources(ref image.Reference) (*sources.Set, error) {
	images := imagesOf(ref)
	scope := c.opts.Config.Scope(images)
	if set := c.sets[scope]; set != nil {
		return set, nil
	}
	set, problems, err := c.newSet(images)
	if err != nil {
		return nil, err
	}
	for _, problem := range problems {
		c.warn(problem.Error())
	}
	set.Trouble, set.Warn = c.trouble, c.warn
	set.GiveUpAfter = c.opts.GiveUpAfter
	set.SetWindow(c.limits.window())
	c.sets[scope] = set
	return set, nil
}

// imagesOf returns what sources depend on of a reference.
func imagesOf(ref image.Reference) sources.Images {
	return sources.Images{Registry: ref.Registry, Repository: ref.Repository, ByDigest: ref.Digest != ""}
}

func (c *call) warn(message string) { c.notify(Warning{Message: message}) }

// stalled reports why no byte of an image has arrived for some time.
func (c *call) stalled(ref image.Reference, silent time.Duration, reasons []error) {
	e := Stalled{Reference: familiar(ref), Silent: Duration{silent}, Reasons: []string{}}
	for _, reason := range reasons {
		e.Reasons = append(e.Reasons, reason.Error())
	}
	c.notify(e)
}

// trouble reports a request that failed.
func (c *call) trouble(source string, err error) {
	c.notify(Trouble{Source: source, Message: strings.TrimPrefix(err.Error(), source+": ")})
}

// request reports a request that has ended.
func (c *call) request(r transfer.Request) {
	e := Request{
		Source: r.Source, Digest: r.Blob.String(), Start: r.Range.Start, End: r.Range.End,
		Bytes: r.Bytes, Waited: Duration{r.Waited}, Duration: Duration{r.Took},
	}
	if r.Err != nil {
		e.Error = strings.TrimPrefix(r.Err.Error(), r.Source+": ")
	}
	c.notify(e)
}

// found reports a source that sent wrong bytes.
func (c *call) found(f verify.Finding) {
	use := "is not used any more"
	switch {
	case f.Excluded && f.ExcludedFor > 0:
		use = fmt.Sprintf("is not used for %v", f.ExcludedFor)
	case !f.Excluded:
		use = "stays in use only because no other source has the right ones"
	}
	c.notify(Corrupt{Source: f.Source, Proof: f.Proof})
	if c.fromBucket(f, use) {
		return
	}
	c.warn(fmt.Sprintf("%s serves wrong bytes and %s: %s; remove it from the mirrors, or report this to its operator", f.Source, use, f.Proof))
}

// suspect reports a source that is not used until a blob is verified.
func (c *call) suspect(source, message string) { c.notify(Trouble{Source: source, Message: message}) }

// blame adds to the error of a transfer the sources that sent wrong bytes.
func (c *call) blame(err error) error {
	_, mismatch := errors.AsType[*verify.MismatchError](err)
	_, hopeless := errors.AsType[*segment.HopelessError](err)
	names := c.corrupt.Names()
	if len(names) == 0 || !mismatch && !hopeless {
		return err
	}
	return &classified{fmt.Errorf("wrong bytes came from %s: %w", strings.Join(names, ", "), err), ErrMismatch}
}

func (c *call) notify(e Event) {
	if c.opts.Observer == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.Observer.Observe(e)
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

func (c *call) close() {
	for _, j := range c.done {
		j.close()
	}
	for _, set := range c.sets {
		set.Close()
	}
	c.targets.close()
	c.bucket.Close(0)
}
