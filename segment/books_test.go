package segment

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBooksBalance answers requests at random, and checks the accounts after
// each event.
func TestBooksBalance(t *testing.T) {
	for seed := range uint64(200) {
		d := newDrive(t, seed)
		for range 400 {
			d.event()
			mustBalance(t, d.s, "a random event")
		}
	}
}

// drive calls a scheduler as a Fetch could, at random.
type drive struct {
	rng   *rand.Rand
	s     *scheduler
	blobs []int64
	now   time.Time
	tasks []*task
	left  map[*task]int64 // of the body that is open; 0 before there is one
}

func newDrive(t *testing.T, seed uint64) *drive {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := &drive{rng: rng, blobs: randomBlobs(rng, 20*mib), now: time.Unix(0, 0), left: make(map[*task]int64)}
	d.s = newScheduler(mib, d.blobs, []int{3, 3, 3}, seed)
	for b, size := range d.blobs {
		d.s.want(b, Range{0, size})
	}
	return d
}

func (d *drive) event() {
	d.now = d.now.Add(time.Duration(d.rng.Int64N(int64(2 * time.Second))))
	switch d.rng.IntN(16) {
	case 0:
		d.s.setTrust(d.rng.IntN(3), Suspect, d.now)
	case 1:
		d.s.setTrust(d.rng.IntN(3), Trusted, d.now)
	case 2:
		d.s.hold(d.rng.IntN(len(d.blobs)), d.now)
	case 3:
		d.s.release(d.rng.IntN(len(d.blobs)))
	case 4, 5, 6, 7:
		d.s.tick(d.now)
	default:
		d.next()
		d.move()
	}
	for _, t := range d.s.takeRevoked() {
		if slices.Contains(d.tasks, t) && d.rng.IntN(2) == 0 {
			d.end(t, outcomeDone)
		}
	}
}

func (d *drive) next() {
	if t := d.s.next(d.now); t != nil {
		d.tasks = append(d.tasks, t)
	}
}

// move moves one task at random.
func (d *drive) move() {
	if len(d.tasks) == 0 {
		return
	}
	t := d.tasks[d.rng.IntN(len(d.tasks))]
	switch {
	case d.rng.IntN(8) == 0:
		d.end(t, []outcomeKind{outcomeDone, outcomeCut, outcomeBusy, outcomeRejected}[d.rng.IntN(4)])
	case t.opened.IsZero():
		got := d.answer(t)
		d.left[t] = got.Len()
		if !d.s.opened(t, got, d.now) {
			d.end(t, outcomeDone)
		}
	default:
		n := 1 + d.rng.Int64N(d.left[t])
		if d.left[t] -= n; d.s.advance(t, n, d.now) == 0 || d.left[t] == 0 {
			d.end(t, outcomeDone)
		}
	}
}

// answer is all of the blob, what was asked for, or its beginning.
func (d *drive) answer(t *task) Range {
	switch d.rng.IntN(4) {
	case 0:
		return Range{0, d.blobs[t.blob]}
	case 1:
		return Range{t.asked.Start, t.asked.Start + 1 + d.rng.Int64N(t.asked.Len())}
	case 2:
		return Range{0, 1 + d.rng.Int64N(d.blobs[t.blob])}
	}
	return t.asked
}

func (d *drive) end(t *task, why outcomeKind) {
	d.tasks = slices.DeleteFunc(d.tasks, func(o *task) bool { return o == t })
	delete(d.left, t)
	d.s.end(t, outcome{kind: why}, d.now)
}
