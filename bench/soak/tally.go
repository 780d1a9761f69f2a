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
	mu        sync.Mutex
	rounds    int
	processes int
	pulls     int // to the end
	again     int // after "run again", left in peace
	served    int64
	needed    int64
	blows     map[string]int
	faults    map[string]int
	wounds    map[string]int
	exits     map[string]int
	slowest   time.Duration
	slow      uint64 // its round
	peak      int64
	bad       []uint64
	lies      int // wrong outputs
}

func newTally() *tally {
	return &tally{blows: map[string]int{}, faults: map[string]int{}, wounds: map[string]int{}, exits: map[string]int{}}
}

func (t *tally) ended(r round, e ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.processes++
	t.peak = max(t.peak, e.Peak)
	switch {
	case e.Exit == -1:
		t.exits["signal"]++
	default:
		t.exits[fmt.Sprint(e.Exit)]++
	}
	if e.Exit == 0 {
		t.pulls++
	}
	if !e.struck.IsZero() && e.run.blow != peace || e.run.blow == noRoom {
		t.blows[string(e.run.blow)]++
	}
	if e.run.paused > 0 {
		t.blows["SIGSTOP"]++
	}
	if len(e.run.rivals) > 0 {
		t.blows["several on one output"]++
	}
	if e.Wall > t.slowest {
		t.slowest, t.slow = e.Wall, r.number
	}
}

func (t *tally) wounded(w wound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wounds[w.what+" of "+w.file]++
}

func (t *tally) ranAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again++
}

// played adds a round that is over.
func (t *tally) played(r round, served int64, j *judge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds++
	t.served += served
	t.needed += r.image.size() * int64(max(j.anew, 1))
	t.lies += j.lies
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
	if len(j.wrong) > 0 {
		t.bad = append(t.bad, r.number)
	}
}

// print tells all of it.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(w, "rounds           %d\n", t.rounds)
	fmt.Fprintf(w, "processes        %d, of which %d pulled the image to its end\n", t.processes, t.pulls)
	fmt.Fprintf(w, "exit codes       %s\n", counts(t.exits))
	fmt.Fprintf(w, "violence         %s\n", counts(t.blows))
	fmt.Fprintf(w, "damage           %s\n", counts(t.wounds))
	fmt.Fprintf(w, "faults           %s\n", counts(t.faults))
	fmt.Fprintf(w, "served           %s for %s of images, %.2f\n", inMiB(t.served), inMiB(t.needed), float64(t.served)/float64(max(t.needed, 1)))
	fmt.Fprintf(w, "run again        %d times, left in peace, after exit code 6\n", t.again)
	fmt.Fprintf(w, "slowest          %s, in round %d\n", t.slowest.Round(time.Millisecond), t.slow)
	fmt.Fprintf(w, "peak memory      %s\n", inMiB(t.peak))
	fmt.Fprintf(w, "wrong outputs    %d\n", t.lies)
	fmt.Fprintf(w, "bad rounds       %d %v\n", len(t.bad), t.bad)
}

// counts lists by number, the largest first.
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
