package segpull

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segpull/segpull/image"
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
	if jobs, err = c.resolve(ctx, jobs, name, places.ByPlatform()); err != nil {
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
