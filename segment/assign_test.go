package segment

import (
	"cmp"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func always(err error) func(int) error { return func(int) error { return err } }

// TestAssign leaves a blob to a store, beside two mirrors that would bring 12 MiB/s
// together, and looks at what they have served.
func TestAssign(t *testing.T) {
	for name, tc := range map[string]struct {
		store   *fakeMirror
		size    int64         // 0: 60 MiB
		limit   int64         // bytes a second of the store; 0: none
		noRace  bool          // nothing may come twice
		mirrors Hint          // what an earlier fetch says of them
		before  func(*Fetch)  // it runs; nil: the blob is assigned
		during  func(*Fetch)  // after a second
		none    bool          // the mirrors are not asked
		all     bool          // the mirrors have served all
		within  time.Duration // it is complete
	}{
		"it brings all":                      {store: &fakeMirror{rate: 2 * mib}, none: true, within: 10 * time.Second},
		"nothing is assigned":                {store: &fakeMirror{rate: 2 * mib}, before: func(*Fetch) {}, all: true, within: 15 * time.Second},
		"it is assigned later":               {store: &fakeMirror{rate: 2 * mib}, before: func(*Fetch) {}, during: func(f *Fetch) { f.Assign(0, 0) }, within: 15 * time.Second},
		"it fails once":                      {store: &fakeMirror{rate: 2 * mib, err: func(n int) error { return map[int]error{2: errors.New("reset")}[n] }}, none: true, within: 10 * time.Second},
		"it fails":                           {store: &fakeMirror{err: always(errors.New("reset"))}, all: true, within: 9 * time.Second},
		"it does not have the blob":          {store: &fakeMirror{err: always(statusError{missing: true})}, all: true, within: 12 * time.Second},
		"it refuses":                         {store: &fakeMirror{err: always(statusError{refused: true})}, all: true, within: 12 * time.Second},
		"it wants no request for a minute":   {store: &fakeMirror{err: always(statusError{busy: true, after: time.Minute})}, all: true, within: 12 * time.Second},
		"it falls silent":                    {store: &fakeMirror{rate: 2 * mib, stalls: mib}, within: 25 * time.Second},
		"it was fast, and falls silent":      {store: &fakeMirror{rate: 32 * mib, stalls: 4 * mib}, size: 200 * mib, within: 8 * time.Second},
		"it begins late":                     {store: &fakeMirror{rate: 4 * mib, latency: 700 * time.Millisecond}, none: true, within: 25 * time.Second},
		"it is silent":                       {store: &fakeMirror{latency: time.Hour}, all: true, within: 10 * time.Second},
		"it is silent, without races":        {store: &fakeMirror{latency: time.Hour}, noRace: true, all: true, within: 10 * time.Second},
		"it is slow":                         {store: &fakeMirror{rate: 64 * kib}, within: 20 * time.Second},
		"it is slower than the mirrors were": {store: &fakeMirror{rate: mib / 4}, mirrors: Hint{Rate: 4 * mib}, within: 20 * time.Second},
		"it is not slower than unknown ones": {store: &fakeMirror{rate: mib / 4}, none: true, within: time.Minute},
		"it waits for its limit":             {store: &fakeMirror{rate: 2 * mib}, limit: mib, mirrors: Hint{Rate: 4 * mib}, none: true, within: 2 * time.Minute},
		"it waits long for its limit":        {store: &fakeMirror{rate: 2 * mib}, size: 64 * kib, limit: kib, none: true, within: 2 * time.Minute},
		"it is a suspect":                    {store: &fakeMirror{rate: 2 * mib}, during: func(f *Fetch) { f.SetTrust(0, Suspect) }, within: 15 * time.Second},
		"it is excluded":                     {store: &fakeMirror{rate: 2 * mib}, during: func(f *Fetch) { f.SetTrust(0, Excluded) }, within: 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				size := cmp.Or(tc.size, 60*mib)
				store, mirrors := tc.store, []*fakeMirror{{rate: mib}, {rate: mib}}
				f := besideAStore(t, store, Options{NoRace: tc.noRace, Limiter: NewLimiter(tc.limit)}, tc.mirrors, mirrors, size)
				if tc.before == nil {
					tc.before = func(f *Fetch) { f.Assign(0, 0) }
				}
				tc.before(f)
				f.Want(0, Range{0, size})
				began, done := time.Now(), make(chan error)
				go func() { done <- f.Run(t.Context()) }()
				time.Sleep(time.Second)
				if tc.during != nil {
					tc.during(f)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				took, served := time.Since(began), mirrors[0].total()+mirrors[1].total()
				if none := served == 0; none != tc.none {
					t.Errorf("the mirrors served %d bytes", served)
				}
				if all := store.total() == 0; all != tc.all {
					t.Errorf("the store served %d bytes", store.total())
				}
				if took > tc.within {
					t.Errorf("it took %v, with %d bytes of the mirrors", took, served)
				}
			})
		})
	}
}

// besideAStore returns a fetch of blobs from a store, the source 0, and from mirrors.
// The limiter of opts is for the store alone.
func besideAStore(t *testing.T, store *fakeMirror, opts Options, hint Hint, mirrors []*fakeMirror, sizes ...int64) *Fetch {
	sink := &fakeSink{t: t, sizes: sizes, have: make([]Set, len(sizes))}
	opts.Sink, opts.Peers, opts.Limiter = sink, []Peer{{Opener: store, Connections: 6, Assigned: true, Limiter: opts.Limiter}}, nil
	for _, m := range mirrors {
		opts.Peers = append(opts.Peers, Peer{Opener: m, Connections: 6, Hint: hint})
	}
	f := NewFetch(opts)
	sink.fetch = f
	for _, size := range sizes {
		f.Add(size)
	}
	return f
}

// TestAStoreThatIsNearlyDone asks whether a store is slow that brings 64 KiB a second, when
// so much is left to fetch.
func TestAStoreThatIsNearlyDone(t *testing.T) {
	for left, slow := range map[int64]bool{mib: true, 96 * kib: false} {
		s := newScheduler(0, []int64{2 * mib}, []int{6, 6}, 1)
		src, start := s.sources[0], time.Unix(0, 0)
		src.assigned, src.busy = true, start
		now := start.Add(10 * time.Second)
		src.meter.begin(start)
		src.meter.add(640*kib, now)
		s.want(0, Range{0, left})
		if got := s.slow(src, now); got != slow {
			t.Errorf("with %d bytes left, it is slow: %v", left, got)
		}
	}
}

// TestAStoreThatIsSlowerThanTheMirrorsAre leaves the second blob to it: the first has shown
// what the mirrors bring.
func TestAStoreThatIsSlowerThanTheMirrorsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, mirrors := &fakeMirror{rate: mib / 4}, []*fakeMirror{{rate: mib}, {rate: mib}}
		f := besideAStore(t, store, Options{}, Hint{}, mirrors, 60*mib, 60*mib)
		f.Assign(1, 0)
		f.Want(0, Range{0, 60 * mib})
		f.Want(1, Range{0, 60 * mib})
		if err := f.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if served := mirrors[0].total() + mirrors[1].total(); served < 90*mib {
			t.Errorf("the mirrors served %d bytes", served)
		}
	})
}

// TestAStoreThatWasFastHoldsNobodyBack fetches a blob that the store does not have from a
// mirror, while the store sends another blob much faster, or was fast in an earlier fetch.
func TestAStoreThatWasFastHoldsNobodyBack(t *testing.T) {
	for name, other := range map[string]int64{"earlier": 0, "at the same time": 400 * mib} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, mirror := &fakeMirror{rate: 8 * mib}, &fakeMirror{rate: mib / 4}
				f := besideAStore(t, store, Options{}, Hint{}, []*fakeMirror{mirror}, other, 16*mib)
				f.sched.expect(0, Hint{Rate: 32 * mib}, time.Now())
				f.Assign(0, 0)
				f.Want(0, Range{0, other})
				f.Want(1, Range{0, 16 * mib})
				if other == 0 {
					f.Settle()
				}
				began := time.Now()
				if err := f.Run(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 13*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestAStoreIsAskedForItsBlobs also if it is much slower than another source, which may not
// be asked for them.
func TestAStoreIsAskedForItsBlobs(t *testing.T) {
	s, now := newScheduler(0, nil, []int{6, 6}, 1), time.Unix(0, 0)
	store := s.sources[0]
	store.assigned, store.served = true, mib
	store.perConn.add(10 * kib)
	s.expect(1, Hint{Rate: 16 * mib}, now)
	s.assign(s.add(64*kib), 0)
	s.want(0, Range{0, 64 * kib})
	s.tick(now)
	s.rate = mib // the rest should take a sixteenth of a second
	if task := s.next(now); task == nil || task.source != 0 {
		t.Errorf("the next request is %+v", task)
	}
}
