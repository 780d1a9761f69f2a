package segment

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFetchRanges(t *testing.T) {
	stop := errors.New("no space left on device")
	ranges := []Range{{100, 300 << 10}, {3 * mib, 3*mib + 1}}
	for what, tc := range map[string]struct {
		mirror *fakeMirror
		budget Budget
		write  error
		check  func(err error) bool
		took   time.Duration // at the most
	}{
		"a source that serves ranges": {mirror: &fakeMirror{}, check: isNil},
		"one that breaks off":         {mirror: &fakeMirror{dies: 50_000}, check: isNil, took: time.Minute},
		"one that sends whole blobs":  {mirror: &fakeMirror{whole: true, rate: mib}, check: isNil, took: 10 * time.Second},
		"one that is silent":          {mirror: &fakeMirror{stalls: 100}, check: is[*GiveUpError], took: 6 * time.Second},
		"a trickle":                   {mirror: &fakeMirror{rate: 1 << 10}, check: is[*GiveUpError], took: 30 * time.Second},
		"one without the blob":        {mirror: &fakeMirror{err: func(int) error { return statusError{missing: true} }}, check: is[*HopelessError], took: time.Second},
		"a write that fails":          {mirror: &fakeMirror{}, write: stop, check: func(err error) bool { return err == stop }},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.mirror.size = 4 * mib
				var got Set
				began := time.Now()
				err := FetchRanges(t.Context(), Peer{Opener: tc.mirror, Name: "m"}, Request{
					Blob: 7, Size: 4 * mib, Ranges: ranges, Budget: Budget{Total: 30 * time.Second, Idle: 5 * time.Second},
				}, func(off int64, b []byte) error {
					r := Range{off, off + int64(len(b))}
					if len(got.Within(r)) > 0 {
						t.Errorf("%v came twice", r)
					}
					got.Add(r)
					for i, c := range b {
						if at := off + int64(i); c != byte(at*7) {
							t.Fatalf("byte %d is wrong", at)
						}
					}
					return tc.write
				})
				if !tc.check(err) {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(began); took > tc.took {
					t.Errorf("took %v", took)
				}
				if err == nil && (len(got.Ranges()) != 2 || got.First() != ranges[0] || got.last() != ranges[1]) {
					t.Errorf("got %v", got.Ranges())
				}
			})
		})
	}
}

func isNil(err error) bool { return err == nil }

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
