package registrytest

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newPacer(rate int64) *pacer {
	p := &pacer{rate: new(atomic.Int64)}
	p.rate.Store(rate)
	return p
}

// carry sends n bytes over the link as one stream.
func carry(t *testing.T, p *pacer, n int) {
	p.join()
	defer p.leave()
	for n > 0 {
		q := p.quantum(n)
		p.wait(t.Context(), q)
		n -= q
	}
}

func TestLinkCarriesItsRate(t *testing.T) {
	for _, rate := range []int64{1 << 10, 512 << 10, 10 << 20, 100 << 20} {
		for _, streams := range []int{1, 7} {
			synctest.Test(t, func(t *testing.T) {
				p := newPacer(rate)
				start := time.Now()
				var wg sync.WaitGroup
				for range streams {
					wg.Go(func() { carry(t, p, int(rate)*3/streams) })
				}
				wg.Wait()
				if took := time.Since(start).Seconds(); took < 2.99 || took > 3.01 {
					t.Errorf("%d streams took %.3f s for 3 s of %d bytes/s", streams, took, rate)
				}
			})
		}
	}
}

func TestIdleLinkGivesNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1 << 20)
		carry(t, p, 1<<20)
		time.Sleep(time.Hour)
		start := time.Now()
		carry(t, p, 1<<20)
		if took := time.Since(start); took < 999*time.Millisecond {
			t.Errorf("1 MiB at 1 MiB/s took %v after an idle hour", took)
		}
	})
}

func TestLateWriterCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1 << 20)
		start := time.Now()
		p.join()
		defer p.leave()
		for range 256 {
			p.wait(t.Context(), 4<<10)
			time.Sleep(2 * time.Millisecond) // woken late, within what a quantum takes
		}
		if took := time.Since(start); took > 1010*time.Millisecond {
			t.Errorf("1 MiB at 1 MiB/s took %v", took)
		}
	})
}

func TestRateChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1 << 20)
		time.AfterFunc(time.Second, func() { p.rate.Store(4 << 20) })
		start := time.Now()
		carry(t, p, 5<<20)
		if took := time.Since(start).Seconds(); took < 1.99 || took > 2.01 {
			t.Errorf("1 MiB at 1 MiB/s and 4 MiB at 4 MiB/s took %.3f s", took)
		}
	})
}
