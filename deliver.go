package segpull

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/deliver"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/state"
)

// Engines returns the names for Options.Load besides "auto", in the order in which that
// tries them.
func Engines() []string { return engine.Names() }

// loadsDir reports whether the engine reads a directory, in which each blob has a file.
func (c *call) loadsDir() bool { return c.opts.Load != "" && c.engine.ReadsDir() }

// deliver gives the image to the engine, and completes it in the registry.
func (j *job) deliver(ctx context.Context) error {
	if err := j.load(ctx); err != nil {
		return err
	}
	if j.push == nil {
		return nil
	}
	if err := j.push.Manifests(ctx); err != nil {
		return refused(ctx, err)
	}
	j.pushed()
	return nil
}

// load gives the image to the engine, if the call has one.
func (j *job) load(ctx context.Context) error {
	if j.call.opts.Load == "" {
		return nil
	}
	to := j.call.engine
	img := deliver.Image{Image: j.image, Blobs: j, Format: j.call.format, Path: j.blobPath, Dir: state.Dir(j.place.Work)}
	var sent atomic.Int64
	end := j.reportSending(ctx, to.Name(), sent.Load)
	name, err := deliver.Load(ctx, to, img, func(n int64) { sent.Add(n) })
	end(err)
	if err != nil {
		return err
	}
	j.delivered = append(j.delivered, Delivery{To: to.Name(), Name: name, Digest: j.image.Manifest.Digest.String()})
	return nil
}

// blobPath returns the file of a blob, or "" if it has none of its own.
func (j *job) blobPath(d digest.Digest) string {
	if j.download == nil {
		return ""
	}
	return j.download.Path(d)
}

// inRegistry reports whether the registry has the image, and nothing else is to be done
// with it. Otherwise it finds which blobs the registry has, if nothing else needs them.
func (j *job) inRegistry(ctx context.Context) (bool, error) {
	if j.target == nil {
		return false, nil
	}
	j.push = j.target.Push(j.image)
	there, err := j.push.Has(ctx)
	alone := j.place.Path == "" && j.call.opts.Load == ""
	if err == nil && alone && !there {
		err = j.push.Find(ctx)
	}
	return alone && there, refused(ctx, err)
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
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return j.fetch(ctx) })
	group.Go(func() error { return j.pushBlobs(ctx) })
	return group.Wait()
}

// pushBlobs pushes the blobs, if the image is pushed.
func (j *job) pushBlobs(ctx context.Context) error {
	if j.push == nil {
		return nil
	}
	end := j.reportSending(ctx, j.push.Name(), j.push.Sent)
	err := j.push.Blobs(ctx, j.blobs, j.content)
	end(err)
	return refused(ctx, err)
}

// pushed records that the registry has the image.
func (j *job) pushed() {
	j.push.Done()
	j.delivered = append(j.delivered, Delivery{To: j.push.Registry(), Name: j.push.Name(), Digest: j.image.Manifest.Digest.String()})
}

// refused gives an error of one registry or server its class.
func refused(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return class.Mark(err, class.OfReason(err))
}

// reportSending reports how much of the image has been sent, until end is called with the
// error of that.
func (j *job) reportSending(ctx context.Context, to string, sent func() int64) (end func(err error)) {
	sending, began, before := Sending{Reference: j.name(), To: to, Total: j.image.Size()}, time.Now(), sent()
	report := func(done int64) {
		sending.Done = min(done, sending.Total)
		sending.Rate = int64(float64(sending.Done-before) / max(time.Since(began).Seconds(), 1e-3))
		j.call.report.notify(sending)
	}
	report(before)
	sampling, stop := context.WithCancel(ctx)
	var reports sync.WaitGroup
	reports.Go(func() { sample(sampling, func() { report(sent()) }) })
	return func(err error) {
		stop()
		reports.Wait()
		if err == nil {
			report(sending.Total)
		}
	}
}

// askServer asks the server of the call for the blobs of the image, and waits until it has
// verified them. The manifests are there: the image was resolved by it.
func (j *job) askServer(ctx context.Context) (Result, error) {
	j.announce()
	server := j.set.Sources()[0]
	blobs := smallestFirst(j.image.Blobs())
	err := deliver.Ask(ctx, server, j.image.Reference.Repository, blobs, j.serverProgress(blobs), j.call.report.trouble)
	if err != nil {
		return Result{}, refused(ctx, err)
	}
	j.delivered = append(j.delivered, Delivery{To: server.Name(), Name: j.name(), Digest: string(j.image.Digest)})
	return j.result(), nil
}

// serverProgress returns a function that reports that the server has a blob.
func (j *job) serverProgress(blobs []ocispec.Descriptor) (has func(i int)) {
	e := Progress{Reference: j.name(), Remaining: Duration{-1}, Sources: []SourceProgress{}}
	for _, b := range blobs {
		e.Total += b.Size
		e.Blobs = append(e.Blobs, BlobProgress{Digest: string(b.Digest), Size: b.Size})
	}
	var mu sync.Mutex
	return func(i int) {
		mu.Lock()
		defer mu.Unlock()
		b := &e.Blobs[i]
		b.Done, b.Verified = b.Size, b.Size
		e.Done += b.Size
		e.Rate = int64(float64(e.Done) / max(time.Since(j.began).Seconds(), 1e-3))
		sample := e
		sample.Blobs = append([]BlobProgress{}, e.Blobs...)
		j.call.report.notify(sample)
	}
}
