package segpull

import (
	"context"
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
		Path:      j.out.path,
	}
	for _, b := range smallestFirst(j.image.Blobs()) {
		e.Size += b.Size
		e.Blobs = append(e.Blobs, BlobInfo{Digest: string(b.Digest), Size: b.Size})
	}
	j.call.notify(e)
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

func (j *job) reportProgress() { j.call.notify(j.progress()) }

// progress returns a sample of the progress of the pull.
func (j *job) progress() Progress {
	e := Progress{
		Reference: j.name(), Resumed: j.resumed.Load(), Remaining: Duration{-1},
		Blobs: []BlobProgress{}, Sources: []SourceProgress{},
	}
	for i, d := range j.blobs {
		b := BlobProgress{Digest: string(d.Digest), Size: d.Size}
		b.Done, b.Verified = j.done(i)
		e.Done += b.Done
		e.Total += b.Size
		e.Blobs = append(e.Blobs, b)
	}
	if j.existing != nil {
		e.Resumed = e.Total
		return e
	}
	var rate float64
	for _, s := range j.transfer.Sources() {
		rate += s.Rate
		e.Sources = append(e.Sources, SourceProgress{Name: s.Name, Bytes: s.Bytes, Rate: int64(s.Rate), Connections: s.Connections, State: s.State})
	}
	e.Rate = int64(rate)
	if e.Rate > 0 {
		e.Remaining.Duration = time.Duration(float64(e.Total-e.Done) / rate * float64(time.Second))
	}
	return e
}

// done returns how many bytes of blob i are on disk, and how many of them SHA-256 has
// seen.
func (j *job) done(i int) (done, hashed int64) {
	switch {
	case j.existing != nil:
		return j.blobs[i].Size, j.compared[i].Offset()
	case j.cached != nil:
		return j.cached.done(i)
	}
	return j.store.Blob(i).Done(), j.transfer.Hashed(i)
}

func (j *job) result() Result {
	r := Result{
		Reference: j.name(),
		Digest:    string(j.image.Digest),
		ImageID:   string(j.image.Config.Digest),
		Path:      j.out.path,
		Platform:  j.image.Platform.String(),
		Size:      j.image.Size(),
		Resumed:   j.resumed.Load() + j.push.hadBytes(),
		Duration:  Duration{time.Since(j.began)},
		Delivered: append([]Delivery{}, j.delivered...),
		Sources:   []SourceShare{},
		Corrupt:   append([]string{}, j.call.corrupt.Names()...),
	}
	if j.transfer == nil {
		return r
	}
	for _, s := range j.transfer.Sources() {
		r.Fetched += s.Bytes
		r.Sources = append(r.Sources, SourceShare{Name: s.Name, Bytes: s.Bytes})
	}
	r.FetchedTwice = r.Fetched - j.missing // the image is complete, so nothing is missing any more
	return r
}
