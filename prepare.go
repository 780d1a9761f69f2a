package segpull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/internal/output"
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
	places, err := c.places(len(names))
	if err != nil {
		return nil, err
	}
	if err := places.Create(); err != nil {
		return nil, err
	}
	if c.opts.To != "" && len(names) > 1 && !strings.HasSuffix(c.opts.To, "/") {
		return nil, usage(fmt.Errorf("--to %s names one image, and the call has %d: give a prefix with a slash at its end", c.opts.To, len(names)))
	}
	for _, step := range []func(*job) error{placing(places), (*job).targeted, c.loading()} {
		if jobs, err = c.each(ctx, jobs, step); err != nil {
			return nil, err
		}
	}
	if c.opts.Load != "" {
		if c.engine, err = engine.Find(ctx, c.opts.Load); err != nil {
			return nil, err
		}
	}
	resolve := func(j *job) error { return j.resolve(ctx, name, places.ByPlatform()) }
	if jobs, err = c.each(ctx, jobs, resolve); err != nil {
		return nil, err
	}
	return c.each(ctx, jobs, placing(places))
}

// places returns where the archives of so many images go.
func (c *call) places(images int) (*output.Places, error) {
	return output.New(output.Options{
		Path: c.opts.Output, Format: c.format, Images: images, Batch: c.opts.Batch, Stdout: c.opts.Stdout,
		Elsewhere: c.opts.Load != "" || c.opts.To != "" || c.opts.CacheOnly, CacheDir: c.opts.CacheDir, Nothing: c.opts.Server != "",
	})
}

// placing returns a function for all jobs of a call, which finds where a job's archive goes,
// and checks that it can be written.
func placing(places *output.Places) func(*job) error {
	plan := places.Plan()
	return func(j *job) (err error) {
		j.place, err = plan(j.image)
		return err
	}
}

// targeted finds where a job's image is pushed.
func (j *job) targeted() (err error) {
	if j.call.opts.To == "" {
		return nil
	}
	if j.target, err = j.call.registries.Target(j.image.Reference); err != nil {
		return usage(err)
	}
	return nil
}

// loading returns a function for all jobs of a call, which refuses a second image for one
// name in the engine, such as that of another platform: it would take the name from the
// first.
func (c *call) loading() func(*job) error {
	seen := make(map[string]bool)
	return func(j *job) error {
		ref := j.image.Reference
		if c.opts.Load == "" || ref.Tag == "" {
			return nil
		}
		name := ref.Name() + ":" + ref.Tag
		if seen[name] {
			return usage(fmt.Errorf("%s for %s: two images would be loaded as %s: load them one by one, with another --name", ref, j.image.Platform, name))
		}
		seen[name] = true
		return nil
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
	c.report.warnOfAliases(c.opts.Config, names)
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
	if j.set, err = j.call.mirrors.Set(ref); err != nil {
		return err
	}
	if !j.call.mirrors.InCache(ctx, ref) {
		j.call.mirrors.Warm(ctx, j.set, ref)
	}
	j.asked = time.Now()
	f := j.call.mirrors.Fetcher(j.set)
	img, err := j.find(ctx, f)
	switch {
	case err != nil && j.call.opts.Server != "":
		return fmt.Errorf("%w; the log of the server may say more", err)
	case class.Of(err) == ErrNetwork && class.Unreachable(err):
		return fmt.Errorf("%w; check the network, or give other mirrors with --mirror", err)
	case class.Of(err) == ErrNetwork:
		return fmt.Errorf("%w; try again later, or give other mirrors with --mirror", err)
	case class.IsNotFound(err):
		return fmt.Errorf("%w; check the name and the tag, or give other mirrors with --mirror", err)
	case err != nil:
		return err
	}
	if needPlatform {
		if img, err = image.ReadPlatform(ctx, f, img); err != nil {
			return err
		}
	}
	if err := f.Keep(ctx); err != nil {
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

// warnOfPlatform warns of an image for another platform than the wanted one: a reference to a manifest has no
// other.
func (j *job) warnOfPlatform(asked image.Platform) {
	if p := j.image.Platform; p.OS != asked.OS || p.Architecture != asked.Architecture {
		j.call.report.warnf("%s is for %s, not %s: this reference has an image for no other platform", j.name(), p, asked)
	}
}

// warnOfIndex warns of a digest that names an index: engines list the image under another digest.
func (j *job) warnOfIndex() {
	if ref := j.image.Reference; ref.Digest != "" && ref.Digest != j.image.Manifest.Digest {
		other := ""
		if j.target != nil {
			other = ", or give --all-platforms to push the index"
		}
		j.call.report.warnf("%s: the digest is that of an index; segpull takes one platform of it, %s, which engines list under its own digest, %s: use that digest to pin this image%s",
			j.name(), j.image.Platform, j.image.Manifest.Digest, other)
	}
}

// warnOfNameless warns of an image that has a tag but no name in the archive.
func (j *job) warnOfNameless() {
	if j.image.Reference.Tag != "" && j.image.ArchiveName() == (image.Reference{}) {
		j.call.report.warnf("%s: the archive does not name the image, because docker load up to version 24 refuses names with an IPv6 address: give it another name with --name", j.name())
	}
}
