package segment

import (
	"container/heap"
	"time"
)

// task is one request to one source, for a range of a blob. Only the scheduler
// changes its fields.
type task struct {
	source int   // index of the source
	blob   int   // index of the blob
	asked  Range // what the request asks for

	rest  Range // what is still to come; its end moves down when it is taken back
	whole bool  // the source answers with the whole blob from its first byte
	twin  *task // another task that fetches the same bytes, first to finish wins
	hedge bool  // it is the second of the twins
	extra int64 // bytes that it was expected to fetch twice at the most

	paused  bool          // it waits for a rate limit, not for its source
	revoked bool          // it was taken away and is about to end
	stalled time.Duration // for how long it was silent when it was taken away for that

	began  time.Time // of the request
	sent   time.Time // of the same, once it had a connection
	opened time.Time // of the answer's headers; zero before them
	moved  time.Time // of the last bytes
	got    int64     // bytes that came
	news   int64     // of these, bytes that were not there before
	delay  float64   // seconds that the body paused after its first bytes
	meter  meter
	finish time.Time // when it is expected to be done
	index  int       // in the heap of running tasks; -1 once it is over
}

// rate is the task's bytes a second at now, or fallback while it is too young to
// have one. A body that has paused from the start may still come: it has brought at
// most a grain since the answer. src is its source.
func (t *task) rate(now time.Time, fallback float64, src *source) float64 {
	age := now.Sub(t.opened)
	if t.opened.IsZero() || age < tickInterval || t.got < src.grain() && age < src.grace() {
		return fallback
	}
	if t.meter.weighted == 0 {
		return min(fallback, float64(max(t.got, src.grain()))/age.Seconds())
	}
	return t.meter.rate(now)
}

// small is 1 for a request for all of a small blob: its time is the latency,
// not its bytes over a rate.
func (s *scheduler) small(t *task) int {
	if t.asked.Len() <= minSplit && t.asked == s.blobs[t.blob].all() {
		return 1
	}
	return 0
}

// noProgress reports whether t is a stream that has brought hardly anything new.
func (t *task) noProgress() bool {
	return t.whole && t.got > 0 && float64(t.news) < trickle*float64(t.got)
}

// silent is how long the task has been waiting for a byte or a header.
func (t *task) silent(now time.Time) time.Duration {
	if t.paused {
		return 0
	}
	return now.Sub(t.moved)
}

// unanswered reports whether t has waited for the headers of its answer for so
// long that they may never come.
func (t *task) unanswered(now time.Time) bool {
	return t.opened.IsZero() && t.silent(now) > longPatience
}

// running is a heap of tasks, the one expected to finish last on top.
type running []*task

func (h running) Len() int           { return len(h) }
func (h running) Less(i, j int) bool { return h[i].finish.After(h[j].finish) }
func (h running) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *running) Push(x any) {
	t := x.(*task)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *running) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

func (h *running) drop(t *task) { heap.Remove(h, t.index) }
func (h *running) fix(t *task)  { heap.Fix(h, t.index) }
