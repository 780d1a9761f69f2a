package segpull

import (
	"context"
	"sync"
	"time"
)

const progressInterval = 200 * time.Millisecond

// announce sends the event Resolved once.
func (j *job) announce() {
	if j.announced {
		return
	}
	j.announced = true
	e := Resolved{
		Reference: j.name(),
		Digest:    string(j.image.Digest),
		Platform:  j.image.Platform.String(),
		Source:    j.resolver,
		Path:      j.place.Path,
	}
	for _, b := range smallestFirst(j.image.Blobs()) {
		e.Size += b.Size
		e.Blobs = append(e.Blobs, BlobInfo{Digest: string(b.Digest), Size: b.Size})
	}
	j.call.report.notify(e)
}

// sample calls report about five times a second until ctx ends.
func sample(ctx context.Context, report func()) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			report()
		case <-ctx.Done():
			return
		}
	}
}

// sampled calls run, and reports the progress while it runs.
func (j *job) sampled(ctx context.Context, run func(context.Context) error) error {
	sampling, stop := context.WithCancel(ctx)
	var reports sync.WaitGroup
	defer reports.Wait()
	defer stop()
	reports.Go(func() { sample(sampling, j.reportProgress) })
	return run(ctx)
}

func (j *job) reportProgress() { j.call.report.notify(j.progress()) }

// progress returns a sample of the progress of the pull.
func (j *job) progress() Progress {
	e := Progress{
		Reference: j.name(), Remaining: Duration{-1},
		Blobs: []BlobProgress{}, Sources: []SourceProgress{},
	}
	for i, d := range j.blobs {
		b := BlobProgress{Digest: string(d.Digest), Size: d.Size}
		b.Done, b.Verified = j.content.Done(i)
		e.Done += b.Done
		e.Total += b.Size
		e.Blobs = append(e.Blobs, b)
	}
	if j.download == nil {
		e.Resumed = e.Total
		return e
	}
	e.Resumed = j.download.Resumed()
	var rate float64
	for _, s := range j.download.Sources() {
		rate += s.Rate
		e.Sources = append(e.Sources, SourceProgress{Name: s.Name, Bytes: s.Bytes, Rate: int64(s.Rate), Connections: s.Connections, State: s.State})
	}
	e.Rate = int64(rate)
	if e.Rate > 0 {
		e.Remaining.Duration = time.Duration(float64(e.Total-e.Done) / rate * float64(time.Second))
	}
	return e
}

func (j *job) result() Result {
	r := Result{
		Reference: j.name(),
		Digest:    string(j.image.Digest),
		ImageID:   string(j.image.Config.Digest),
		Path:      j.place.Path,
		Platform:  j.image.Platform.String(),
		Size:      j.image.Size(),
		Duration:  Duration{time.Since(j.began)},
		Delivered: append([]Delivery{}, j.delivered...),
		Sources:   []SourceShare{},
		Corrupt:   append([]string{}, j.call.mirrors.Corrupt()...),
	}
	if j.push != nil {
		r.Resumed = j.push.Had()
	}
	if j.download == nil {
		return r
	}
	r.Resumed += j.download.Resumed()
	for _, s := range j.download.Sources() {
		r.Fetched += s.Bytes
		r.Sources = append(r.Sources, SourceShare{Name: s.Name, Bytes: s.Bytes})
	}
	r.FetchedTwice = r.Fetched - j.download.Missing() // the image is complete, so nothing is missing any more
	return r
}
