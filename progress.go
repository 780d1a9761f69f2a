package segpull

import (
	"context"
	"time"
)

const progressInterval = 200 * time.Millisecond

// announce says what the reference turned out to be, once.
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
	for _, b := range j.blobs {
		e.Size += b.Size
		e.Blobs = append(e.Blobs, BlobInfo{Digest: string(b.Digest), Size: b.Size})
	}
	j.notify(e)
}

// sample tells of the progress until ctx ends.
func (j *job) sample(ctx context.Context) {
	_ = every(ctx, progressInterval, func() error { j.notify(j.progress()); return nil })
}

// progress is a sample of how far the pull is.
func (j *job) progress() Progress {
	e := Progress{Reference: j.name(), Resumed: j.resumed, Remaining: -1}
	for i, d := range j.blobs {
		b := BlobProgress{
			Digest:   string(d.Digest),
			Done:     j.done(i),
			Verified: j.frontiers[i].Offset(),
			Size:     d.Size,
		}
		e.Done += b.Done
		e.Total += b.Size
		e.Blobs = append(e.Blobs, b)
	}
	if j.standing != nil {
		e.Resumed = e.Total
		return e
	}
	for i, s := range j.fetch.Status() {
		e.Rate += s.Rate
		e.Sources = append(e.Sources, SourceProgress{
			Name:        j.peers[i].Name(),
			Bytes:       j.peers[i].served.Load(),
			Rate:        s.Rate,
			Connections: s.Connections,
			State:       s.State,
		})
	}
	if e.Rate >= 1 {
		e.Remaining = time.Duration(float64(e.Total-e.Done) / e.Rate * float64(time.Second))
	}
	return e
}

// done is the number of bytes of blob i that are there.
func (j *job) done(i int) int64 {
	if j.standing != nil {
		return j.blobs[i].Size
	}
	return j.store.Blob(i).Done()
}

func (j *job) result() Result {
	r := Result{
		Reference: j.name(),
		Digest:    string(j.image.Digest),
		ImageID:   string(j.image.Config.Digest),
		Path:      j.out.path,
		Platform:  j.image.Platform.String(),
		Size:      j.size(),
		Resumed:   j.resumed,
		Duration:  time.Since(j.began),
		Liars:     j.liars.all(),
	}
	for _, p := range j.peers {
		r.Fetched += p.served.Load()
		r.Sources = append(r.Sources, SourceShare{Name: p.Name(), Bytes: p.served.Load()})
	}
	return r
}
