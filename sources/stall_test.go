package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull/image"
)

// TestARaceThatStandsStillSaysWhyOnce has one source that failed and two that
// are silent, of which the last answers in time, or late.
func TestARaceThatStandsStillSaysWhyOnce(t *testing.T) {
	for answersAfter, want := range map[time.Duration]string{
		5 * time.Second:  "[]",
		25 * time.Second: "[10s [one: down two: no answer within 10s three: no answer within 10s]]",
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			all := []*Source{{at: endpoint{name: "one"}}, {at: endpoint{name: "two"}}, {at: endpoint{name: "three"}}}
			set := quietSet(NewLogins("", nil))
			var reported []string
			set.Stalled = func(_ image.Reference, silent time.Duration, reasons []error) {
				if took := time.Since(began); took != stalledAfter {
					t.Errorf("reported after %v", took)
				}
				reported = append(reported, fmt.Sprint(silent, " ", reasons))
			}
			a, err := set.race(app, all, precedence, func(ctx context.Context, source *Source) answer {
				after := []time.Duration{1, time.Hour, answersAfter}[slices.Index(all, source)]
				select {
				case <-time.After(after):
				case <-ctx.Done():
				}
				if source != all[2] {
					return answer{source: source, err: errors.New("one: down")}
				}
				return answer{source: source}
			}).run(t.Context())
			if err != nil || a.source != all[2] {
				t.Errorf("ended with %v", err)
			}
			if got := fmt.Sprint(reported); got != want {
				t.Errorf("reported %s, want %s", got, want)
			}
		})
	}
}
