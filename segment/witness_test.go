package segment

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// serve opens all requests that s has, and ends each of them with all its
// bytes.
func serve(s *scheduler, now time.Time) (requests int) {
	for t := s.next(now); t != nil; t = s.next(now) {
		requests++
		s.opened(t, t.asked, now)
		s.advance(t, t.asked.Len(), now)
		s.end(t, outcome{kind: outcomeDone}, now)
	}
	return requests
}

// TestAnEventAsksFewIdleSources shows that what one event frees is offered to
// some of the sources that found nothing, each time to others.
func TestAnEventAsksFewIdleSources(t *testing.T) {
	s := newScheduler(0, []int64{mib}, make([]int, 100), 1)
	now := time.Unix(0, 0)
	for s.next(now) != nil {
		t.Fatal("a request without a wanted byte")
	}
	for i := range s.sources {
		s.park(i)
	}
	s.offerIdle()
	if n := len(s.ready); n < 2 || n > 20 {
		t.Errorf("%d of 100 sources are asked after one event", n)
	}
	for range 50 {
		s.offerIdle()
	}
	if n := len(s.ready); n != 100 {
		t.Errorf("%d of 100 sources are asked after 51 events", n)
	}
}

// TestStrikes counts what has to happen three times in a row.
func TestStrikes(t *testing.T) {
	for name, tc := range map[string]struct {
		kind outcomeKind
		gone func(s *scheduler) bool
	}{
		"refusals":   {outcomeRefused, func(s *scheduler) bool { return s.sources[0].off }},
		"rejections": {outcomeRejected, func(s *scheduler) bool { return s.lacks(0, 0) }},
		"failures":   {outcomeCut, func(s *scheduler) bool { return s.sources[0].allowed() == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(mib, []int64{64 * mib}, []int{6}, 1)
			s.want(0, Range{0, 2 * mib})
			now := time.Unix(0, 0)
			serve(s, now)
			s.want(0, Range{2 * mib, 64 * mib})
			for n := 1; n <= 3; n++ {
				task := s.next(now)
				if task == nil {
					t.Fatalf("no request after %d", n-1)
				}
				s.end(task, outcome{kind: tc.kind}, now)
				if gone := tc.gone(s); gone != (n == 3) {
					t.Errorf("after %d: %v", n, gone)
				}
				now = now.Add(time.Minute)
				s.tick(now)
			}
		})
	}
}

// TestBackoffHasBounds shows for how long a source that fails gets no request.
func TestBackoffHasBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		why   outcome
		fails int
		least time.Duration
		most  time.Duration
	}{
		"first":                 {outcome{kind: outcomeCut}, 1, 20 * time.Millisecond, 200 * time.Millisecond},
		"many":                  {outcome{kind: outcomeCut}, 30, 10 * time.Second, time.Minute},
		"a minute is asked for": {outcome{kind: outcomeBusy, after: time.Minute}, 1, time.Minute, time.Minute},
		"a year is asked for":   {outcome{kind: outcomeBusy, after: 365 * 24 * time.Hour}, 1, time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(0, []int64{mib}, []int{6}, 1)
			s.want(0, Range{0, mib})
			now := time.Unix(0, 0)
			for range tc.fails {
				now = now.Add(2 * time.Hour)
				s.tick(now)
				s.end(s.next(now), tc.why, now)
			}
			if wait := s.sources[0].until.Sub(now); wait < tc.least || wait > tc.most {
				t.Errorf("it is asked again after %v, want %v to %v", wait, tc.least, tc.most)
			}
		})
	}
}

// TestAnOverdueAnswerIsAskedForAgain leaves a request to the only source
// without an answer for much longer than usual.
func TestAnOverdueAnswerIsAskedForAgain(t *testing.T) {
	s := newScheduler(mib, []int64{2 * mib}, []int{6}, 1)
	s.want(0, Range{0, mib})
	now := time.Unix(0, 0)
	serve(s, now)
	s.want(0, Range{mib, mib + 64*kib})
	for range 50 {
		s.tick(now)
		for s.next(now) != nil { // never answered
		}
		now = now.Add(time.Second)
	}
	for _, task := range s.tasks {
		if task.twin == nil {
			t.Errorf("%v is not asked for again", task.asked)
		}
	}
	mustBalance(t, s, "all")
}

// TestASilentRequest shows when a request that has no answer is taken away.
func TestASilentRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		size      int64
		elsewhere bool
		after     time.Duration
		revoked   bool
	}{
		"soon, while others deliver":         {mib, true, 10 * time.Second, false},
		"later, while others deliver":        {mib, true, 25 * time.Second, true},
		"for many bytes":                     {16 * mib, true, 25 * time.Second, false},
		"for many bytes, later":              {16 * mib, true, 60 * time.Second, true},
		"at the only source that is at work": {mib, false, 60 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(0, []int64{tc.size}, []int{1, 1}, 1)
			s.want(0, Range{0, tc.size})
			now := time.Unix(0, 0)
			task := s.cut(0, 0, tc.size)
			s.start(task, now)
			now = now.Add(tc.after)
			if tc.elsewhere {
				s.moved, s.sources[1].moved = now, now
			}
			if revoked := s.stalled(task, now); revoked != tc.revoked {
				t.Errorf("revoked: %v", revoked)
			}
		})
	}
}

// TestRangesAreTriedAgain asks a source that ignored a range for one again
// after a while.
func TestRangesAreTriedAgain(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib}, []int{1}, 1)
	s.want(0, Range{0, 64 * mib})
	now := time.Unix(0, 0)
	s.opened(s.next(now), Range{0, 64 * mib}, now)
	for _, tc := range []struct {
		after time.Duration
		again bool
	}{{5 * time.Second, false}, {time.Minute, true}} {
		s.tick(now.Add(tc.after))
		if again := s.sources[0].ranges == rangesUntried; again != tc.again {
			t.Errorf("after %v: may be asked for a range: %v", tc.after, again)
		}
	}
}

// TestAStreamThatBringsNothingNew breaks off in what is there already, again
// and again: that is no progress.
func TestAStreamThatBringsNothingNew(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib}, []int{1}, 1)
	s.want(0, Range{0, 64 * mib})
	now := time.Unix(0, 0)
	var moved []bool
	for range 6 {
		task := s.next(now)
		s.opened(task, Range{0, 64 * mib}, now)
		s.advance(task, 8*mib, now)
		moved = append(moved, s.moved.Equal(now))
		s.end(task, outcome{kind: outcomeCut}, now)
		now = now.Add(time.Minute)
		s.tick(now)
		s.sources[0].ranges = rangesIgnored
	}
	if !moved[3] || moved[5] {
		t.Errorf("counted as progress: %v", moved)
	}
}

// TestABodyThatHasJustBegun shows that a request keeps its bytes where they come
// at once, after long.
func TestABodyThatHasJustBegun(t *testing.T) {
	s := newScheduler(0, []int64{mib}, []int{1}, 1)
	s.want(0, Range{0, mib})
	now := time.Unix(0, 0)
	task := s.next(now)
	now = now.Add(90 * time.Second)
	s.opened(task, task.asked, now)
	s.advance(task, 512*kib, now)
	s.tick(now)
	if left, want := task.rest.Len(), task.asked.Len()-512*kib; left != want {
		t.Errorf("%d of %d bytes are left to the request", left, want)
	}
}

// TestASmallRestIsNoRequestOfItsOwn leaves less of a blob than a request is
// worth.
func TestASmallRestIsNoRequestOfItsOwn(t *testing.T) {
	s := newScheduler(0, []int64{mib + grain}, []int{1}, 1)
	s.want(0, Range{0, mib + grain})
	if task := s.cut(0, 0, mib); task.asked.Len() != mib+grain {
		t.Errorf("%d bytes are asked for, and %d left", task.asked.Len(), s.left()-task.asked.Len())
	}
}

// TestTheFirstRequestMayBeForAllOfABlob asks for a small blob without a Range,
// which some stores refuse.
func TestTheFirstRequestMayBeForAllOfABlob(t *testing.T) {
	s := newScheduler(0, []int64{mib}, []int{0, 0, 0}, 1)
	s.want(0, Range{0, mib})
	if task := s.next(time.Unix(0, 0)); task.asked.Len() != mib {
		t.Errorf("%v is asked for", task.asked)
	}
}

// TestAPreferredRangeIsShared shows that several sources fetch a range that
// somebody waits for.
func TestAPreferredRangeIsShared(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib}, []int{0, 0}, 1)
	s.want(0, Range{0, 64 * mib})
	s.prefer(0, Range{32 * mib, 33 * mib}, time.Unix(0, 0))
	now := time.Unix(0, 0)
	for i := range 2 {
		if task := s.next(now); task.source != i || !(Range{32 * mib, 33 * mib}).Contains(task.asked) {
			t.Errorf("source %d is asked for %v", task.source, task.asked)
		}
	}
}

// TestBlobsSideBySide fetches two blobs at once.
func TestBlobsSideBySide(t *testing.T) {
	s := newScheduler(0, []int64{64 * mib, 64 * mib, 64 * mib}, []int{0, 0}, 1)
	s.setParallel(2)
	for b := range 3 {
		s.want(b, Range{0, 64 * mib})
	}
	now := time.Unix(0, 0)
	if a, b := s.next(now), s.next(now); a.blob+b.blob != 1 {
		t.Errorf("blobs %d and %d are fetched at once", a.blob, b.blob)
	}
}

// TestBlocksAreBounded multiplies the blocks of all connections.
func TestBlocksAreBounded(t *testing.T) {
	for _, n := range []int{1, 3, 96, 1000} {
		blocks := n * connectionsOf(Peer{}, Options{Peers: make([]Peer, n)}) * blockSize
		if most := max(32, n) * mib; blocks > most {
			t.Errorf("%d sources have %d MiB of blocks", n, blocks/mib)
		}
	}
}

// TestATrickleReachesTheSink shows that what comes slowly is on disk soon.
func TestATrickleReachesTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := Options{Blobs: []int64{mib}}
		sink := &fakeSink{t: t, sizes: opts.Blobs, have: make([]Set, 1)}
		opts.Sink, opts.Peers = sink, []Peer{{Opener: &fakeMirror{rate: 20 << 10, whole: true, size: mib}, Connections: 1}}
		f := NewFetch(opts)
		sink.fetch = f
		f.Want(0, Range{0, mib})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(10 * time.Second)
		sink.mu.Lock()
		got := sink.have[0].Len()
		sink.mu.Unlock()
		if got < 128*kib {
			t.Errorf("%d bytes are in the sink after 10 seconds", got)
		}
		stop()
		<-ended
	})
}

// TestASlowAnswerIsNotSplit has one source, which answers the first request at once and
// takes five seconds for the next answer, as a proxy does that fetches a whole blob
// first. An idle connection would wait as long for a part of what is left.
func TestASlowAnswerIsNotSplit(t *testing.T) {
	s := newScheduler(mib, []int64{64 * kib, 256 * kib}, []int{6}, 1)
	s.want(0, Range{0, 64 * kib})
	s.want(1, Range{0, 256 * kib})
	now := time.Unix(0, 0)
	config, layer := s.next(now), s.next(now)
	now = now.Add(100 * time.Millisecond)
	s.opened(config, config.asked, now)
	s.advance(config, config.asked.Len(), now)
	s.end(config, outcome{kind: outcomeDone}, now)
	for i := range 100 {
		now = now.Add(100 * time.Millisecond)
		if i == 50 {
			s.opened(layer, layer.asked, now)
		}
		if i > 50 {
			s.advance(layer, 5*kib, now)
		}
		s.tick(now)
		if extra := s.next(now); extra != nil {
			t.Fatalf("%v is asked for %d ms after the request, %v are left of it", extra.asked, 100*(i+1), layer.rest)
		}
	}
}
