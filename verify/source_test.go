package verify

import (
	"testing"
	"time"

	"github.com/segpull/segpull/segment"
)

// TestBudget asks a source for bytes that has served a MiB a second, or nothing, for
// ten seconds.
func TestBudget(t *testing.T) {
	for what, tc := range map[string]struct {
		served  int64
		bytes   int64
		limited time.Duration
		giveUp  time.Duration
		long    bool
		want    segment.Budget
	}{
		"beside others":                    {10 * mib, mib, 0, time.Minute, false, segment.Budget{Total: 9 * time.Second, Idle: 5 * time.Second}},
		"alone":                            {10 * mib, mib, 0, time.Minute, true, segment.Budget{Total: 124 * time.Second, Idle: time.Minute}},
		"alone, with limits":               {10 * mib, mib, time.Hour, time.Minute, true, segment.Budget{Total: 2*time.Hour + 124*time.Second, Idle: time.Minute}},
		"of a user without patience":       {10 * mib, mib, 0, time.Second, false, segment.Budget{Total: 9 * time.Second, Idle: time.Second}},
		"of one that served nothing, much": {0, 1024 * mib, 0, time.Minute, false, segment.Budget{Total: time.Hour + 5*time.Second, Idle: 5 * time.Second}},
		"of one that served nothing":       {0, mib, 0, time.Minute, false, segment.Budget{Total: 124 * time.Second, Idle: 5 * time.Second}},
	} {
		inBubble(t, what, func(t *testing.T) {
			w := newWorld(t, nil, &fakeSource{served: tc.served, limited: tc.limited})
			w.search.opts.GiveUpAfter = tc.giveUp
			time.Sleep(10 * time.Second)
			if got := w.search.budget(w.search.sources[0], tc.bytes, tc.long); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
