package segpull

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/upstream"
)

// resolvedAtOnce is how many references are resolved at the same time: each takes round trips, one after
// the other, but a mirror may allow few connections.
const resolvedAtOnce = 4

// resolve does what job.resolve does, for all jobs of a call. Errors, and warnings about images, come in the
// order of the jobs; warnings about mirrors come when they arise.
func (c *call) resolve(ctx context.Context, jobs []*job, name image.Reference, needPlatform bool) ([]*job, error) {
	finds, cancel := context.WithCancel(ctx)
	var finding sync.WaitGroup
	defer finding.Wait()
	defer cancel()
	find := func(j *job) found {
		if err := context.Cause(finds); err != nil {
			return found{err: err}
		}
		if err := j.connect(ctx); err != nil { // the connections last longer than finds
			return found{err: err}
		}
		return j.find(finds, needPlatform)
	}
	results, queue := make(map[*job]chan found), make(chan []*job, len(jobs))
	for _, j := range jobs {
		results[j] = make(chan found, 1)
	}
	for _, same := range byReference(jobs) {
		queue <- same
	}
	close(queue)
	for range min(len(queue), resolvedAtOnce) {
		finding.Go(func() {
			for same := range queue {
				for _, j := range same {
					results[j] <- find(j)
				}
			}
		})
	}
	return c.each(ctx, jobs, func(j *job) error {
		return j.accept(ctx, <-results[j], name)
	})
}

// byReference returns jobs together that have the same reference, for different platforms: they are resolved
// one after the other, since each may reject the source that resolved the tag.
func byReference(jobs []*job) (groups [][]*job) {
	at := make(map[image.Reference]int)
	for _, j := range jobs {
		i, ok := at[j.image.Reference]
		if !ok {
			i = len(groups)
			at[j.image.Reference], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], j)
	}
	return groups
}

// resolve finds the image of the job's reference, gives it the name for the archive, and warns of surprises.
func (j *job) resolve(ctx context.Context, name image.Reference, needPlatform bool) error {
	if err := j.connect(ctx); err != nil {
		return err
	}
	return j.accept(ctx, j.find(ctx, needPlatform), name)
}

// found is what a reference names, or why that is not known.
type found struct {
	image   image.Image
	fetcher *upstream.Fetcher // of what led to the image
	err     error
}

// connect chooses the sources of the job's image, and begins to open connections to them, which last until
// ctx ends.
func (j *job) connect(ctx context.Context) (err error) {
	ref := j.image.Reference
	if j.set, err = j.call.mirrors.Set(ref); err != nil {
		return err
	}
	if !j.call.mirrors.InCache(ctx, ref) {
		j.call.mirrors.Warm(ctx, j.set, ref)
	}
	return nil
}

// find finds the image of the job's reference. To read the platform of an image without an index costs a
// round trip, so find does it only if the name of the output has the platform; otherwise checkPlatform reads
// it at the end.
func (j *job) find(ctx context.Context, needPlatform bool) (f found) {
	ref := j.image.Reference
	j.asked = time.Now()
	f.fetcher = j.call.mirrors.Fetcher(j.set)
	if j.call.opts.AllPlatforms {
		f.image, f.err = image.ResolveAll(ctx, f.fetcher, ref)
	} else {
		f.image, f.err = image.Resolve(ctx, f.fetcher, ref, j.image.Platform)
	}
	if f.err != nil {
		f.err = j.unresolved(f.err)
		return f
	}
	j.resolver = j.set.Resolver(ref)
	if needPlatform {
		f.image, f.err = image.ReadPlatform(ctx, f.fetcher, f.image)
	}
	return f
}

// unresolved adds to the error of a reference what the user can do about it.
func (j *job) unresolved(err error) error {
	switch {
	case j.call.opts.Server != "":
		return fmt.Errorf("%w; the log of the server may say more", err)
	case class.Of(err) == ErrNetwork && class.Unreachable(err):
		return fmt.Errorf("%w; check the network, or give other mirrors with --mirror", err)
	case class.Of(err) == ErrNetwork:
		return fmt.Errorf("%w; try again later, or give other mirrors with --mirror", err)
	case class.IsNotFound(err):
		return fmt.Errorf("%w; check the name and the tag, or give other mirrors with --mirror", err)
	}
	return err
}

// accept takes the image that find found, gives it the name for the archive, and warns of surprises.
func (j *job) accept(ctx context.Context, f found, name image.Reference) error {
	if f.err != nil {
		return f.err
	}
	if err := f.fetcher.Keep(ctx); err != nil {
		return err
	}
	wanted := j.image.Platform
	j.image = f.image
	j.image.Name = name
	if !j.call.opts.AllPlatforms {
		j.warnOfPlatform(wanted)
	}
	j.warnOfIndex()
	j.warnOfNameless()
	return nil
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
