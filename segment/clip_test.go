package segment

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestClippedAnswers has mirrors answer with the beginning of each range: no
// less than a request is worth is taken as it is, and less is asked for with
// ever longer pauses.
func TestClippedAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		size    int64
		mirrors []*fakeMirror // the last one clips
		most    int           // requests to it in a minute
		done    bool
	}{
		"1 MiB":                        {20 * mib, []*fakeMirror{{rate: mib, clips: mib}}, 30, true},
		"100 kB":                       {20 * mib, []*fakeMirror{{rate: mib, clips: 100e3}}, 220, true},
		"a byte":                       {20 * mib, []*fakeMirror{{clips: 1}}, 20, false},
		"a byte, beside an honest one": {20 * mib, []*fakeMirror{{rate: mib}, {clips: 1}}, 20, true},
		"a byte, beside a slow one":    {20 * mib, []*fakeMirror{{rate: 2000}, {clips: 1}}, 25, false},
		"of what is asked for twice":   {60 << 10, []*fakeMirror{{rate: 100}, {clips: 20e3}}, 25, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for _, m := range tc.mirrors {
					m.latency = 10 * time.Millisecond
				}
				took, sink, err := fetchAll(t, ctx, Options{Blobs: []int64{tc.size}}, tc.mirrors...)
				clipping := tc.mirrors[len(tc.mirrors)-1]
				if n := len(clipping.asked); n > tc.most || tc.done != (err == nil) {
					t.Errorf("%d requests in %v, %d bytes, %v", n, took, sink.have[0].Len(), err)
				}
			})
		})
	}
}
