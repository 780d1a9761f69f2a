package segment

import "time"

// Assign says that a source whose Peer.Assigned is set has a blob, and leaves the blob to
// it. The others may fetch what is missing of the blob only when that source is not
// trusted, does not have the blob after all, refuses, has failed several times in a row,
// is silent, or is slower than they are.
func (f *Fetch) Assign(blob, source int) {
	f.locked(func() { f.sched.assign(blob, source) })
	f.poke()
}

// Assigned reports whether a blob is left to one source.
func (f *Fetch) Assigned(blob int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sched.leftTo(blob) != nil
}

func (s *scheduler) assign(blob, source int) {
	src := s.sources[source]
	delete(src.missing, blob)
	s.blobs[blob].first = src
	s.offer(source)
}

// leftTo returns the source that a blob is left to, or nil.
func (s *scheduler) leftTo(blob int) *source {
	src := s.blobs[blob].first
	if src == nil || src.trust != Trusted || !src.mayHave(blob) {
		return nil
	}
	return src
}

// reviewAssigned lets all sources fetch the blobs that are left to src, if it does not
// bring enough, and takes from it what it is silent about.
func (s *scheduler) reviewAssigned(src *source, now time.Time) {
	if !src.assigned || !s.fails(src, now) {
		return
	}
	for b := range s.blobs {
		if s.blobs[b].first == src {
			s.blobs[b].first = nil
		}
	}
	for _, t := range append(running(nil), s.tasks...) {
		if s.sources[t.source] == src && !t.revoked && t.silent(now) >= patience {
			src.fail(t.blob, outcome{kind: outcomeCut}, t.began, now, s.rng)
			s.abandon(t)
		}
	}
}

// fails reports whether src, to which blobs are left, has failed several times in a row,
// will not be asked for long, is silent, or is slow.
func (s *scheduler) fails(src *source, now time.Time) bool {
	if src.failures >= strikes || src.until.Sub(now) > patience {
		return true
	}
	if src.active == 0 {
		return false
	}
	return now.Sub(s.movedLast(src)) >= patience || s.slow(src, now)
}

// movedLast is when a request of src in flight last brought a byte, or was made.
func (s *scheduler) movedLast(src *source) (last time.Time) {
	for _, t := range s.tasks {
		if s.sources[t.source] == src {
			last = later(last, t.moved)
		}
	}
	return last
}

// slow reports whether the sources that blobs are not assigned to would bring a margin more
// than src has brought for long enough to tell, while much is left to fetch.
func (s *scheduler) slow(src *source, now time.Time) bool {
	rate := src.meter.rate(now)
	if now.Sub(later(src.busy, src.resumed)) < many*moment || float64(s.left()) < margin*moment.Seconds()*rate {
		return false
	}
	others := 0.0
	for _, o := range s.sources {
		if !o.assigned && !o.off && o.trust == Trusted {
			others += o.expected()
		}
	}
	return others > margin*rate
}

// expected is how many bytes a second the source is likely to bring, if it is asked: what
// it brought at the most, or what an earlier fetch says.
func (src *source) expected() float64 {
	if rate := max(src.best, src.hinted*FirstConnections); rate > 0 {
		return rate
	}
	return firstQuota
}
