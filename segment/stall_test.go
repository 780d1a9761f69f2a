package segment

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestAFetchThatStandsStillSaysWhyOnce gets the reason of each source once, and
// nothing while bytes come.
func TestAFetchThatStandsStillSaysWhyOnce(t *testing.T) {
	always := func(err error) func(int) error { return func(int) error { return err } }
	for name, tc := range map[string]struct {
		mirrors []*fakeMirror
		want    string // "": nothing is said
	}{
		"an hour to wait": {
			[]*fakeMirror{{err: always(statusError{busy: true, after: time.Hour})}, {err: always(errors.New("connection refused"))}},
			"[a: status b: connection refused]",
		},
		"a mirror that goes on": {[]*fakeMirror{{rate: 8 << 10}, {err: always(errors.New("connection refused"))}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var told []string
				opts := Options{Blobs: []int64{200 << 10}, GiveUpAfter: 2 * time.Minute, Stalled: func(silent time.Duration, reasons []error) {
					if silent < stalledAfter || time.Since(began) > stalledAfter+time.Second {
						t.Errorf("told after %v of a silence of %v", time.Since(began), silent)
					}
					told = append(told, fmt.Sprint(reasons))
				}}
				_, _, err := fetchAll(t, t.Context(), opts, tc.mirrors...)
				if (err == nil) != (tc.want == "") {
					t.Error(err)
				}
				if got := fmt.Sprint(told); tc.want == "" && told != nil || tc.want != "" && got != "["+tc.want+"]" {
					t.Errorf("told %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// TestAFetchThatStandsStillAgainSaysSoAgain counts from the last byte.
func TestAFetchThatStandsStillAgainSaysSoAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		busy := &fakeMirror{dies: 64 << 10, err: func(n int) error {
			if n%2 == 1 {
				return statusError{busy: true, after: 15 * time.Second}
			}
			return nil
		}}
		opts := Options{Blobs: []int64{128 << 10}, Stalled: func(time.Duration, []error) { told++ }}
		if _, _, err := fetchAll(t, t.Context(), opts, busy); err != nil {
			t.Fatal(err)
		}
		if told != 2 {
			t.Errorf("told %d times of 2 silences: %v", told, busy.asked)
		}
	})
}

// TestASpoolingProxyHasTime waits for a proxy that fetches and scans a blob
// before it answers: a second request would begin that again.
func TestASpoolingProxyHasTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := &fakeMirror{latency: 90 * time.Second}
		took, _, err := fetchAll(t, t.Context(), Options{Blobs: []int64{mib}, GiveUpAfter: 5 * time.Minute}, spool)
		if err != nil {
			t.Fatal(err)
		}
		if len(spool.asked) != 1 || took > 91*time.Second {
			t.Errorf("asked %d times in %v", len(spool.asked), took)
		}
	})
}
