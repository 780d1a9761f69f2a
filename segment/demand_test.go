package segment

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// demand runs a fetch of two blobs of 20 MiB from two mirrors of 1 MiB a second,
// calls fn after a second, and returns the sink after the given time.
func demand(t *testing.T, until time.Duration, fn func(f *Fetch)) (*fakeSink, error) {
	opts := Options{Blobs: []int64{20 * mib, 20 * mib}}
	sink := &fakeSink{t: t, sizes: opts.Blobs, have: make([]Set, 2)}
	opts.Sink = sink
	for range 2 {
		opts.Peers = append(opts.Peers, Peer{Opener: &fakeMirror{rate: mib / 2, size: 20 * mib}, Connections: 2})
	}
	f := NewFetch(opts)
	sink.fetch = f
	for i := range opts.Blobs {
		f.Want(i, Range{0, 20 * mib})
	}
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	time.AfterFunc(time.Second, func() { fn(f) })
	err := f.Run(ctx)
	return sink, err
}

// TestADroppedBlobIsNoReason drops a blob that no source has: later errors are about others.
func TestADroppedBlobIsNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFetch(Options{Blobs: []int64{mib, mib}, Peers: []Peer{{Name: "a", Opener: &fakeMirror{err: always(statusError{missing: true})}}}})
		f.Want(0, Range{0, mib})
		if err := f.Run(t.Context()); len(f.reasons()) != 1 {
			t.Errorf("%v, with the reasons %v", err, f.reasons())
		}
		f.Drop(0)
		if got := f.reasons(); len(got) > 0 {
			t.Errorf("the reasons are %v", got)
		}
	})
}

func TestPrefer(t *testing.T) {
	r := Range{10 * mib, 11 * mib}
	for what, prefer := range map[string]bool{"a range that is preferred": true, "one that is not": false} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink, _ := demand(t, 12*time.Second, func(f *Fetch) {
					if prefer {
						f.Prefer(1, r)
						f.Prefer(1, r)
					}
				})
				if there := len(sink.have[1].Without(r)) == 0; there != prefer {
					t.Errorf("%v of the later blob is there: %v", r, there)
				}
				if n := sink.have[0].Len(); n < 15*mib {
					t.Errorf("%d MiB of the first blob are there", n/mib)
				}
			})
		})
	}
}

// A range that somebody waits for is asked for at once, though each connection is busy.
func TestAPreferredRangeComesSoon(t *testing.T) {
	for what, test := range map[string]struct {
		blob int
		Range
	}{
		"of another blob":      {1, Range{10 * mib, 10*mib + 1}},
		"that a request holds": {0, Range{mib - grain, mib - grain + 1}},
	} {
		t.Run(what, func(t *testing.T) {
			s, now := newScheduler(0, []int64{20 * mib, 20 * mib}, []int{8}, 1), time.Unix(0, 0)
			s.sources[0].ranges = rangesServed
			for i := range s.blobs {
				s.want(i, Range{0, 20 * mib})
			}
			for s.next(now) != nil {
			}
			s.prefer(test.blob, test.Range, now)
			task := s.next(now)
			if task == nil || task.blob != test.blob || !task.asked.Contains(test.Range) {
				t.Errorf("the next request is %+v", task)
			}
			if next := s.next(now); next != nil {
				t.Errorf("and then %+v", next)
			}
		})
	}
}

func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		sink, err := demand(t, time.Hour, func(f *Fetch) {
			f.Drop(0)
			f.Drop(0)
			f.Want(0, Range{0, mib})
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := sink.have[0].Len(); n > 4*mib {
			t.Errorf("%d bytes of the blob that was dropped after a second came", n)
		}
		if n := sink.have[1].Len(); n != 20*mib {
			t.Errorf("%d bytes of the other came", n)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var added int
		sink, err := demand(t, time.Hour, func(f *Fetch) {
			sink := f.opts.Sink.(*fakeSink)
			sink.mu.Lock()
			sink.sizes, sink.have = append(sink.sizes, mib), append(sink.have, Set{})
			sink.mu.Unlock()
			added = f.Add(mib)
			f.Want(added, Range{0, mib})
		})
		if err != nil || added != 2 {
			t.Fatalf("blob %d: %v", added, err)
		}
		for i, size := range sink.sizes {
			if n := sink.have[i].Len(); n != size {
				t.Errorf("%d bytes of blob %d came", n, i)
			}
		}
	})
}

// TestKeepOpen adds a blob when all before it is settled.
func TestKeepOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{t: t, sizes: []int64{mib}, have: make([]Set, 1)}
		f := NewFetch(Options{Sink: sink, KeepOpen: true, GiveUpAfter: time.Minute, Peers: []Peer{{Opener: &fakeMirror{rate: mib, size: mib}}}})
		sink.fetch = f
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(time.Hour)
		f.Want(f.Add(mib), Range{0, mib})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := sink.have[0].Len(); n != mib {
			t.Errorf("%d bytes came", n)
		}
		stop()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
	})
}
