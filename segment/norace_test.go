package segment

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoRace fetches from the networks of TestConditions with and without
// NoRace: with it, no byte comes twice.
func TestNoRace(t *testing.T) {
	simulates(t)
	for name, c := range conditions() {
		t.Run(name, func(t *testing.T) {
			c.dt, c.simulation.limit = ms(5), 2*time.Hour
			before := c.run(t).twice(c.blobs)
			c.noRace = true
			res := c.run(t)
			res.complete(t, c.blobs)
			if twice := res.twice(c.blobs); twice > 0 {
				t.Errorf("%d bytes came twice, %d without NoRace", twice, before)
			}
		})
	}
}

// TestNoRaceOfRandomNetworks does the same with random networks, and shows what
// NoRace costs in time.
func TestNoRaceOfRandomNetworks(t *testing.T) {
	simulates(t)
	rng := rand.New(rand.NewPCG(7, 1))
	var ratios []float64
	for range 30 {
		p := newRandomPull(rng, 2+rng.IntN(7))
		p.sim.noRace = true
		p.run(t)
		if p.waste != 0 {
			t.Errorf("%.4f of the bytes came twice", p.waste)
		}
		ratios = append(ratios, p.ratio)
	}
	median, worst := quantile(ratios, 0.5), slices.Max(ratios)
	t.Logf("makespan over the lower bound: median %.3f, worst %.3f", median, worst)
	if median > 1.06 || worst > 1.3 {
		t.Error("NoRace costs more time than the tail of a pull takes")
	}
}

// twice is how many bytes of the blobs came that were there already.
func (r simResult) twice(blobs []int64) int64 {
	n := r.served - r.unread
	for b := range blobs {
		n -= r.perBlob[b].Len()
	}
	return n
}

// TestNoRaceForALostAnswer fetches small blobs from a source that answers no
// request and one that answers all.
func TestNoRaceForALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &fakeMirror{rate: 4 * mib}
		took, _, err := fetchAll(t, t.Context(), Options{Blobs: repeat(8, 64*kib), NoRace: true}, &fakeMirror{latency: time.Hour}, good)
		if err != nil {
			t.Fatal(err)
		}
		if took < longPatience || took > 2*longPatience || good.served != 8*64*kib {
			t.Errorf("took %v, and %d bytes", took, good.served)
		}
	})
}

// TestNoRaceReadsOneOfTwoAnswers asks two sources for the same bytes, and gets
// both answers.
func TestNoRaceReadsOneOfTwoAnswers(t *testing.T) {
	for first := range 2 {
		s := newScheduler(0, []int64{mib}, []int{1, 1}, 1)
		s.noRace = true
		s.want(0, Range{0, mib})
		now := time.Unix(0, 0)
		tasks := []*task{s.next(now)}
		if s.next(now) != nil {
			t.Fatal("a second request was made at once")
		}
		now = now.Add(longPatience + time.Second)
		s.tick(now)
		tasks = append(tasks, s.next(now))
		if tasks[1] == nil {
			t.Fatal("no second request was made")
		}
		answered, other := tasks[first], tasks[1-first]
		if !s.opened(answered, answered.asked, now) {
			t.Fatal("the first answer is of no use")
		}
		mustBalance(t, s, "Opened")
		if cancelled := s.takeRevoked(); !slices.Equal(cancelled, []*task{other}) {
			t.Errorf("cancelled %d requests, want the other one", len(cancelled))
		}
		s.end(other, outcome{kind: outcomeDone}, now)
		if left := s.advance(answered, mib, now); left != 0 || s.doubled != 0 {
			t.Errorf("%d bytes are left, %d came twice", left, s.doubled)
		}
		s.end(answered, outcome{kind: outcomeDone}, now)
		mustBalance(t, s, "End")
	}
}

// TestNoRaceBesideWholeBlobs gives the rest of a blob to a source that serves
// ranges, not to one that would send all of it.
func TestNoRaceBesideWholeBlobs(t *testing.T) {
	s := newScheduler(mib, []int64{8 * mib}, []int{1, 1}, 1)
	s.noRace = true
	s.want(0, Range{0, 8 * mib})
	now := time.Unix(0, 0)
	ranged, whole := s.next(now), s.next(now)
	s.opened(ranged, ranged.asked, now)
	s.advance(ranged, ranged.asked.Len(), now)
	if s.opened(whole, Range{0, 8 * mib}, now) {
		t.Error("a whole blob was read of which a part was there")
	}
	s.end(whole, outcome{kind: outcomeDone}, now)
	s.end(ranged, outcome{kind: outcomeDone}, now)
	for range 8 {
		s.tick(now)
		task := s.next(now)
		if task == nil {
			break
		}
		if task.source == whole.source {
			t.Fatalf("the source of whole blobs was asked for %v", task.asked)
		}
		s.opened(task, task.asked, now)
		s.advance(task, task.asked.Len(), now)
		s.end(task, outcome{kind: outcomeDone}, now)
		now = now.Add(tickInterval)
	}
	if left := s.left(); left != 0 {
		t.Errorf("%d bytes are left", left)
	}
}
