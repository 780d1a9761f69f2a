package segment

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitIsKept(t *testing.T) {
	for _, limit := range []int64{20_000, 500 << 10, 10 * mib} {
		synctest.Test(t, func(t *testing.T) {
			fast := []*fakeMirror{{}, {}}
			opts := Options{Blobs: []int64{10 * limit}, Limiter: NewLimiter(limit)}
			took, _, err := fetchAll(t, t.Context(), opts, fast...)
			if err != nil {
				t.Fatal(err)
			}
			if took < 9900*time.Millisecond || took > 10300*time.Millisecond {
				t.Errorf("limit %d: the bytes of ten seconds took %v", limit, took)
			}
		})
	}
}

func TestLimiterHasNoBurstAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(mib)
		began := time.Now()
		var got int64
		for time.Since(began) < time.Second {
			n, err := l.Take(t.Context(), 256<<10)
			if err != nil {
				t.Fatal(err)
			}
			if got += n; float64(got) > 1.001*mib*time.Since(began).Seconds() {
				t.Fatalf("%d bytes after %v", got, time.Since(began))
			}
		}
	})
}

func TestLimiterHandsOutWhatWasGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(100_000)
		began := time.Now()
		n, _ := l.Take(t.Context(), 4000)
		l.putBack(n)
		waited := time.Since(began)
		if m, _ := l.Take(t.Context(), 4000); m != n || time.Since(began) != waited {
			t.Errorf("took %d after %v, want %d at once", m, time.Since(began)-waited, n)
		}
	})
}

func TestLimiterChangesItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(0)
		take := func(bytes int64) time.Duration {
			began := time.Now()
			for bytes > 0 {
				n, err := l.Take(t.Context(), bytes)
				if err != nil {
					t.Fatal(err)
				}
				bytes -= n
			}
			return time.Since(began)
		}
		for _, step := range []struct {
			rate int64
			want time.Duration // for ten MiB
		}{{0, 0}, {mib, 10 * time.Second}, {5 * mib, 2 * time.Second}, {0, 0}} {
			l.Set(step.rate)
			if took := take(10 * mib); (took - step.want).Abs() > 60*time.Millisecond {
				t.Errorf("at %d: %v, want %v", step.rate, took, step.want)
			}
		}
	})
}
