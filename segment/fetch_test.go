package segment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// fakeMirror serves blobs whose byte at offset i is byte(i*7), at a pace, and
// fails as its script says.
type fakeMirror struct {
	rate     int64         // bytes a second of one connection; 0: at once
	connects time.Duration // before each request is sent
	latency  time.Duration // from then on, before an answer
	dies     int64         // each body breaks off after so many bytes; 0: never
	stalls   int64         // each body falls silent after so many bytes; 0: never
	whole    bool          // answers every range with the whole blob
	clips    int64         // answers with so many bytes of a range at the most; 0: with all
	size     int64
	err      func(n int) error // what the n-th request gets instead of an answer

	mu     sync.Mutex
	asked  []Range
	served int64
}

func (m *fakeMirror) Open(ctx context.Context, _ int, r Range) (Answer, error) {
	m.mu.Lock()
	m.asked = append(m.asked, r)
	n := len(m.asked)
	m.mu.Unlock()
	if err := sleep(ctx, m.connects); err != nil {
		return Answer{}, err
	}
	sent := time.Now()
	if err := sleep(ctx, m.latency); err != nil {
		return Answer{}, err
	}
	if m.err != nil {
		if err := m.err(n); err != nil {
			return Answer{}, err
		}
	}
	if m.whole {
		r = Range{0, m.size}
	}
	if m.clips > 0 {
		r.End = min(r.End, r.Start+m.clips)
	}
	return Answer{&fakeBody{ctx: ctx, m: m, at: r.Start, end: r.End, start: r.Start}, r, sent}, nil
}

type fakeBody struct {
	ctx            context.Context
	m              *fakeMirror
	at, end, start int64
}

func (b *fakeBody) Close() error { return nil }

func (b *fakeBody) Read(p []byte) (int, error) {
	if b.at == b.end {
		return 0, io.EOF
	}
	n := min(int64(len(p)), b.end-b.at, 32<<10)
	sent := b.at - b.start
	if b.m.dies > 0 {
		if n = min(n, b.m.dies-sent); n == 0 {
			return 0, errors.New("connection reset by peer")
		}
	}
	if b.m.stalls > 0 {
		if n = min(n, b.m.stalls-sent); n == 0 {
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		}
	}
	if b.m.rate > 0 {
		if err := sleep(b.ctx, time.Duration(n)*time.Second/time.Duration(b.m.rate)); err != nil {
			return 0, err
		}
	}
	copy(p[:n], contentAt(b.at, int(n)))
	b.at += n
	b.m.mu.Lock()
	b.m.served += n
	b.m.mu.Unlock()
	return int(n), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakeSink checks the bytes, and settles blobs as they become complete.
type fakeSink struct {
	t     *testing.T
	fetch *Fetch
	sizes []int64
	err   error

	mu   sync.Mutex
	have []Set
}

func (s *fakeSink) Write(blob int, off int64, p []byte, _ int) error {
	if !bytes.Equal(p, contentAt(off, len(p))) {
		s.t.Errorf("blob %d: wrong bytes in [%d, %d)", blob, off, off+int64(len(p)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	before := s.have[blob].Len()
	s.have[blob].Add(Range{off, off + int64(len(p))})
	if s.have[blob].Len() == s.sizes[blob] && before < s.sizes[blob] {
		s.fetch.Settle()
	}
	return nil
}

// content is the start of each blob. It repeats itself after 256 bytes.
var content = func() (p []byte) {
	for i := range mib {
		p = append(p, byte(i*7))
	}
	return p
}()

// contentAt returns n bytes of a blob from off on; n is less than a MiB.
func contentAt(off int64, n int) []byte { return content[off%256:][:n] }

// fetchAll runs a fetch of blobs from mirrors in fake time, and returns how
// long it took.
func fetchAll(t *testing.T, ctx context.Context, opts Options, mirrors ...*fakeMirror) (time.Duration, *fakeSink, error) {
	t.Helper()
	sink := &fakeSink{t: t, sizes: opts.Blobs, have: make([]Set, len(opts.Blobs))}
	opts.Sink = sink
	for i, m := range mirrors {
		m.size = opts.Blobs[0]
		opts.Peers = append(opts.Peers, Peer{Opener: m, Name: string(rune('a' + i)), Connections: 4})
	}
	f := NewFetch(opts)
	sink.fetch = f
	for i, size := range opts.Blobs {
		f.Want(i, Range{0, size})
	}
	began := time.Now()
	err := f.Run(ctx)
	return time.Since(began), sink, err
}

func totalServed(mirrors ...*fakeMirror) (n int64) {
	for _, m := range mirrors {
		n += m.served
	}
	return n
}

// TestAHandshakeIsNoLatency measures from when a request was sent how long its answer
// takes: the next request may need no new connection.
func TestAHandshakeIsNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sink, err := fetchAll(t, t.Context(), Options{Blobs: []int64{mib}}, &fakeMirror{connects: time.Second, latency: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if got := sink.fetch.sched.sources[0].latency.value; got < 0.19 || got > 0.21 {
			t.Errorf("a latency of %.3f s, want 0.2", got)
		}
	})
}

func TestFetchSurvives(t *testing.T) {
	flaky := func(n int) error {
		if n%3 == 0 {
			return errors.New("503 service unavailable")
		}
		return nil
	}
	for name, tc := range map[string]struct {
		mirrors []*fakeMirror
		within  time.Duration
		excess  float64 // bytes served over bytes needed
	}{
		"one mirror":                        {[]*fakeMirror{{rate: mib}}, 6 * time.Second, 1},
		"three uneven mirrors":              {[]*fakeMirror{{rate: mib}, {rate: mib / 4}, {rate: mib / 16}}, 5 * time.Second, 1.05},
		"connections that die after 300 KB": {[]*fakeMirror{{rate: mib, dies: 300 << 10}}, 8 * time.Second, 1.01},
		"a third of the requests is 503":    {[]*fakeMirror{{rate: mib, err: flaky}}, 12 * time.Second, 1.01},
		"one of two stalls":                 {[]*fakeMirror{{rate: mib}, {rate: mib, stalls: 100 << 10}}, 8 * time.Second, 1.1},
		"one of two hangs without headers":  {[]*fakeMirror{{rate: mib}, {latency: time.Hour}}, 8 * time.Second, 1.1},
		"whole blobs only":                  {[]*fakeMirror{{rate: 4 * mib, whole: true}}, 8 * time.Second, 1.1},
		"whole blobs beside ranges":         {[]*fakeMirror{{rate: 4 * mib, whole: true}, {rate: mib}}, 5 * time.Second, 1.35},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := Options{Blobs: []int64{20 * mib}}
				took, sink, err := fetchAll(t, t.Context(), opts, tc.mirrors...)
				if err != nil {
					t.Fatal(err)
				}
				if got := sink.have[0].Len(); got != opts.Blobs[0] {
					t.Errorf("%d of %d bytes", got, opts.Blobs[0])
				}
				ratio := float64(totalServed(tc.mirrors...)) / float64(opts.Blobs[0])
				t.Logf("%v, %.3f of the bytes", took, ratio)
				if took > tc.within {
					t.Errorf("took %v, want %v", took, tc.within)
				}
				if ratio > tc.excess {
					t.Errorf("mirrors served %.3f of the bytes, want %.3f", ratio, tc.excess)
				}
			})
		})
	}
}

// statusError is a source's error that says more.
type statusError struct {
	busy, missing, refused bool
	after                  time.Duration
}

func (e statusError) Error() string                     { return "status" }
func (e statusError) Busy() bool                        { return e.busy }
func (e statusError) Missing() bool                     { return e.missing }
func (e statusError) Refused() bool                     { return e.refused }
func (e statusError) RetryAfter() (time.Duration, bool) { return e.after, e.after > 0 }

func TestFetchObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &fakeMirror{rate: mib, err: func(n int) error {
			if n == 1 {
				return statusError{busy: true, after: 7 * time.Second}
			}
			return nil
		}}
		took, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{mib}}, busy)
		if err != nil {
			t.Fatal(err)
		}
		if took < 7*time.Second || took > 10*time.Second {
			t.Errorf("took %v, with 7 s asked for", took)
		}
	})
}

func TestFetchGivesUp(t *testing.T) {
	always := func(err error) func(int) error { return func(int) error { return err } }
	t.Run("when nothing moves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dead := &fakeMirror{err: always(errors.New("connection refused"))}
			took, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{mib}, GiveUpAfter: time.Minute}, dead)
			gaveUp, ok := errors.AsType[*GiveUpError](err)
			if !ok || !strings.Contains(gaveUp.Error(), "a: connection refused") {
				t.Errorf("got %v", err)
			}
			if took < time.Minute || took > 62*time.Second {
				t.Errorf("gave up after %v", took)
			}
		})
	})
	for name, reason := range map[string]error{
		"at once when all refuse":        statusError{refused: true},
		"at once when none has the blob": statusError{missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{mib}},
					&fakeMirror{err: always(reason)}, &fakeMirror{err: always(reason)})
				hopeless, ok := errors.AsType[*HopelessError](err)
				if !ok || len(hopeless.Reasons) != 2 {
					t.Errorf("got %v", err)
				}
				if took > time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestAnUnknownSourceThatHangsCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &fakeMirror{rate: 4 * mib, latency: 10 * time.Millisecond}
		took, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{8 * mib}}, &fakeMirror{latency: time.Hour}, good)
		if err != nil {
			t.Fatal(err)
		}
		if took > 1500*time.Millisecond { // 0.5 s without it
			t.Errorf("took %v", took)
		}
	})
}

func TestFetchTellsOfAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var troubles []string
		opts := Options{Blobs: []int64{40 * mib}, Trouble: func(_ int, err error) {
			mu.Lock()
			defer mu.Unlock()
			troubles = append(troubles, err.Error())
		}}
		_, _, err := fetchAll(t, t.Context(), opts, &fakeMirror{stalls: 100 << 10}, &fakeMirror{rate: mib / 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(troubles) == 0 || !strings.HasPrefix(troubles[0], "stalled: no byte for 4") {
			t.Errorf("told %q", troubles)
		}
	})
}

func TestFetchUsesTheSourceThatHasTheBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		without := &fakeMirror{rate: mib, err: func(int) error { return statusError{missing: true} }}
		with := &fakeMirror{rate: mib}
		if _, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{8 * mib}}, without, with); err != nil {
			t.Fatal(err)
		}
		if len(without.asked) > 4 {
			t.Errorf("a mirror without the blob was asked %d times", len(without.asked))
		}
	})
}

func TestFetchStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("the user pressed Ctrl-C")
		time.AfterFunc(3500*time.Millisecond, func() { cancel(stop) })
		slow := &fakeMirror{rate: 50 << 10}
		took, sink, err := fetchAll(t, ctx, Options{Blobs: []int64{20 * mib}}, slow)
		if err != stop {
			t.Errorf("got %v", err)
		}
		if took > 4*time.Second {
			t.Errorf("returned after %v", took)
		}
		if got := sink.have[0].Len(); got != slow.served {
			t.Errorf("%d bytes came, %d are kept", slow.served, got)
		}
	})
}

func TestFetchEndsWithItsSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		sink := &fakeSink{t: t, err: full, sizes: []int64{mib}, have: make([]Set, 1)}
		f := NewFetch(Options{Blobs: sink.sizes, Sink: sink, Peers: []Peer{{Opener: &fakeMirror{}, Name: "a"}}})
		f.Want(0, Range{0, mib})
		if err := f.Run(t.Context()); err != full {
			t.Errorf("got %v", err)
		}
	})
}
