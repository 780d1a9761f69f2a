package segment

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBooksBalance has sources answer anything, and looks at the Scheduler's
// sums after each event.
func TestBooksBalance(t *testing.T) {
	for seed := range uint64(200) {
		d := newDrive(t, seed)
		for range 400 {
			d.event()
			mustBalance(t, d.s, "a random event")
		}
	}
}

// drive calls a Scheduler as a Fetch could, at random.
type drive struct {
	rng   *rand.Rand
	s     *Scheduler
	blobs []int64
	now   time.Time
	tasks []*Task
	left  map[*Task]int64 // of the body that is open; 0 before there is one
}

func newDrive(t *testing.T, seed uint64) *drive {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := &drive{rng: rng, blobs: randomBlobs(rng, 20*mib), now: time.Unix(0, 0), left: make(map[*Task]int64)}
	d.s = NewScheduler(mib, d.blobs, []int{3, 3, 3}, seed)
	for b, size := range d.blobs {
		d.s.Want(b, Range{0, size})
	}
	return d
}

func (d *drive) event() {
	d.now = d.now.Add(time.Duration(d.rng.Int64N(int64(2 * time.Second))))
	switch d.rng.IntN(16) {
	case 0:
		d.s.Suspect(d.rng.IntN(3), d.now)
	case 1:
		if i := d.rng.IntN(3); d.s.sources[i].suspect.times > 0 {
			d.s.Clear(i)
		}
	case 2:
		d.s.HoldAfter(d.rng.IntN(len(d.blobs)), d.now)
	case 3:
		d.s.Release(d.rng.IntN(len(d.blobs)))
	case 4, 5, 6, 7:
		d.s.Tick(d.now)
	default:
		d.next()
		d.move()
	}
	for _, t := range d.s.Revoked() {
		if slices.Contains(d.tasks, t) && d.rng.IntN(2) == 0 {
			d.end(t, Done)
		}
	}
}

func (d *drive) next() {
	if t := d.s.Next(d.now); t != nil {
		d.tasks = append(d.tasks, t)
	}
}

// move has something become of one task.
func (d *drive) move() {
	if len(d.tasks) == 0 {
		return
	}
	t := d.tasks[d.rng.IntN(len(d.tasks))]
	switch {
	case d.rng.IntN(8) == 0:
		d.end(t, []Kind{Done, Cut, Busy, Rejected}[d.rng.IntN(4)])
	case t.opened.IsZero():
		got := d.answer(t)
		d.left[t] = got.Len()
		if !d.s.Opened(t, got, d.now) {
			d.end(t, Done)
		}
	default:
		n := 1 + d.rng.Int64N(d.left[t])
		if d.left[t] -= n; d.s.Advance(t, n, d.now) == 0 || d.left[t] == 0 {
			d.end(t, Done)
		}
	}
}

// answer is all of the blob, what was asked for, or its beginning.
func (d *drive) answer(t *Task) Range {
	switch d.rng.IntN(4) {
	case 0:
		return Range{0, d.blobs[t.Blob]}
	case 1:
		return Range{t.Asked.Start, t.Asked.Start + 1 + d.rng.Int64N(t.Asked.Len())}
	case 2:
		return Range{0, 1 + d.rng.Int64N(d.blobs[t.Blob])}
	}
	return t.Asked
}

func (d *drive) end(t *Task, why Kind) {
	d.tasks = slices.DeleteFunc(d.tasks, func(o *Task) bool { return o == t })
	delete(d.left, t)
	d.s.End(t, Outcome{Kind: why}, d.now)
}
