package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// tally is what a soak did. It is safe for concurrent use.
type tally struct {
	mu           sync.Mutex
	rounds       int
	processes    int
	pulls        int // to their end
	retries      int // of undisturbed attempts, after exit code 6
	served       int64
	needed       int64
	causes       map[string]int
	faults       map[string]int
	damages      map[string]int
	exits        map[string]int
	slowest      time.Duration
	slow         uint64 // its round
	peak         int64
	bad          []uint64
	wrongOutputs int
}

func newTally() *tally {
	return &tally{causes: map[string]int{}, faults: map[string]int{}, damages: map[string]int{}, exits: map[string]int{}}
}

func (t *tally) addResult(r round, p result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.processes++
	t.peak = max(t.peak, p.Peak)
	switch {
	case p.Exit == -1:
		t.exits["signal"]++
	default:
		t.exits[fmt.Sprint(p.Exit)]++
	}
	if p.Exit == 0 {
		t.pulls++
	}
	if !p.signalled.IsZero() && p.cause != undisturbed || p.cause == fullDisk {
		t.causes[string(p.cause)]++
	}
	if p.paused > 0 {
		t.causes["SIGSTOP"]++
	}
	if len(p.others) > 0 {
		t.causes["several on one output"]++
	}
	if p.Wall > t.slowest {
		t.slowest, t.slow = p.Wall, r.number
	}
}

func (t *tally) addDamage(d damage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.damages[d.kind+" of "+d.file]++
}

func (t *tally) addRetry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retries++
}

// addRound adds a round that has ended.
func (t *tally) addRound(r round, served int64, c *checker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds++
	t.served += served
	t.needed += r.image.size() * int64(max(c.fetched, 1))
	t.wrongOutputs += c.wrongOutputs
	for _, m := range r.mirrors {
		for _, kind := range m.kinds {
			t.faults[kind]++
		}
		if m.redirects > 0 {
			t.faults["redirects to a CDN"]++
		}
		if m.outage > 0 {
			t.faults["outages"]++
		}
	}
	if len(c.wrong) > 0 {
		t.bad = append(t.bad, r.number)
	}
}

// print writes all of it.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(w, "rounds           %d\n", t.rounds)
	fmt.Fprintf(w, "processes        %d, of which %d pulled the image to its end\n", t.processes, t.pulls)
	fmt.Fprintf(w, "exit codes       %s\n", counts(t.exits))
	fmt.Fprintf(w, "disturbances     %s\n", counts(t.causes))
	fmt.Fprintf(w, "damage           %s\n", counts(t.damages))
	fmt.Fprintf(w, "faults           %s\n", counts(t.faults))
	fmt.Fprintf(w, "served           %s for %s of images, %.2f\n", inMiB(t.served), inMiB(t.needed), float64(t.served)/float64(max(t.needed, 1)))
	fmt.Fprintf(w, "retries          %d, undisturbed, after exit code 6\n", t.retries)
	fmt.Fprintf(w, "slowest          %s, in round %d\n", t.slowest.Round(time.Millisecond), t.slow)
	fmt.Fprintf(w, "peak memory      %s\n", inMiB(t.peak))
	fmt.Fprintf(w, "wrong outputs    %d\n", t.wrongOutputs)
	fmt.Fprintf(w, "bad rounds       %d %v\n", len(t.bad), t.bad)
}

// counts lists names with their numbers, the largest first.
func counts(of map[string]int) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return of[b] - of[a] })
	s := ""
	for i, name := range names {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s: %d", name, of[name])
	}
	return s
}
