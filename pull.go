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
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// Pull pulls the images that refs name, one after the other, and returns those
// that it finished. Layers that several of them share are fetched once. All
// references are resolved before the first blob is fetched.
//
// Errors that have an exit code of their own are an ExitError. When ctx ends,
// Pull returns within a second, with its cause, having kept what has arrived.
func Pull(ctx context.Context, opts Options, refs ...string) ([]Result, error) {
	p, err := newPuller(opts)
	if err != nil {
		return nil, err
	}
	defer p.close()
	jobs, err := p.prepare(ctx, refs)
	if err != nil {
		return nil, classify(err)
	}
	var results []Result
	for i, j := range jobs {
		r, err := j.run(ctx)
		p.jobs = append(p.jobs, j)
		if err != nil {
			return results, classify(fmt.Errorf("%s: %w", j.name(), advise(err)))
		}
		p.release(jobs[i+1:])
		results = append(results, r)
		p.notify(Finished{Result: r})
	}
	return results, nil
}

// puller is what the images of one call share.
type puller struct {
	opts     Options
	format   archive.Format
	platform image.Platform
	limits   *Limits
	logins   *sources.Logins
	sets     map[string]*sources.Set // by registry
	jobs     []*job                  // that have run; the blobs of each serve those after it
	liars    liars

	mu sync.Mutex // one event at a time
}

func newPuller(opts Options) (*puller, error) {
	p := &puller{opts: opts, sets: make(map[string]*sources.Set), format: archive.DockerArchive, platform: image.DefaultPlatform()}
	var err error
	if opts.Format != "" {
		if p.format, err = archive.ParseFormat(opts.Format); err != nil {
			return nil, usage(err)
		}
	}
	if opts.Platform != "" {
		if p.platform, err = image.ParsePlatform(opts.Platform); err != nil {
			return nil, usage(err)
		}
	}
	if opts.LimitRate < 0 || opts.Connections < 0 || opts.SegmentSize < 0 || opts.GiveUpAfter < 0 {
		return nil, usage(errors.New("rates, connections, sizes and times can't be negative"))
	}
	if opts.GiveUpAfter == 0 {
		p.opts.GiveUpAfter = segment.DefaultGiveUp
	}
	p.limits = cmp.Or(opts.Limits, NewLimits(opts.LimitRate))
	p.logins = sources.NewLogins(opts.Authfile, p.warn)
	return p, nil
}

// sources returns those of a registry, and tells what the user should know of
// them.
func (p *puller) sources(registry string) (*sources.Set, error) {
	if set := p.sets[registry]; set != nil {
		return set, nil
	}
	set, told, err := sources.New(p.opts.Config, p.logins, p.opts.Mirrors, registry)
	if err != nil {
		return nil, err
	}
	for _, problem := range told {
		p.warn(problem.Error())
	}
	set.Trouble, set.Warn = p.trouble, p.warn
	set.GiveUpAfter = p.opts.GiveUpAfter
	set.SetWindow(p.limits.window())
	p.sets[registry] = set
	return set, nil
}

func (p *puller) warn(message string) { p.notify(Warning{Message: message}) }

// stalled reports why there was no byte for an image for long.
func (p *puller) stalled(ref image.Reference, silent time.Duration, reasons []error) {
	e := Stalled{Reference: familiar(ref), Silent: silent}
	for _, reason := range reasons {
		e.Reasons = append(e.Reasons, reason.Error())
	}
	p.notify(e)
}

// trouble tells of a request that failed.
func (p *puller) trouble(source string, err error) {
	p.notify(Trouble{Source: source, Message: strings.TrimPrefix(err.Error(), source+": ")})
}

func (p *puller) notify(e Event) {
	if p.opts.Observer == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opts.Observer.Observe(e)
}

// release lets go of the images that have nothing for those to come, or nothing
// that a later one of them does not have as well: each holds a descriptor, and
// the disk's room, if its part file has not become the output.
func (p *puller) release(coming []*job) {
	wanted := make(map[digest.Digest]bool)
	for _, j := range coming {
		for _, b := range j.image.Blobs() {
			wanted[b.Digest] = true
		}
	}
	var kept []*job
	for _, j := range slices.Backward(p.jobs) {
		if !j.serves(wanted) {
			j.close()
			continue
		}
		kept = append(kept, j)
	}
	slices.Reverse(kept)
	p.jobs = kept
}

// serves tells whether the image has any of the blobs that are wanted, which
// then need no other.
func (j *job) serves(wanted map[digest.Digest]bool) (serves bool) {
	for _, b := range j.image.Blobs() {
		serves = serves || wanted[b.Digest]
		delete(wanted, b.Digest)
	}
	return serves
}

func (p *puller) close() {
	for _, j := range p.jobs {
		j.close()
	}
	for _, set := range p.sets {
		set.Close()
	}
}
