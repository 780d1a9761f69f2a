package segment

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// simSource is a mirror in virtual time.
type simSource struct {
	rate      float64       // bytes a second of all connections together
	swing     float64       // part of rate by which it rises and falls, every seven seconds
	connCap   float64       // bytes a second of one; 0: no cap
	latency   time.Duration // from a request to its answer, beside the round trip
	rtt       time.Duration // of a link as in sim_link_test.go; 0: bytes arrive as they are sent
	jitter    time.Duration // at the most, in addition to latency
	most      int
	atOnce    int           // requests that are answered at the same time, 429 beyond; 0: any
	budget    int           // requests in a minute, 429 with Retry-After beyond; 0: any
	ration    simRation     // of requests, 429 beyond
	perMiB    time.Duration // wait before the first byte for each MiB asked for
	loss      float64       // of packets; each request then has a window as TCP has
	slowStart bool          // each request has a window, without losses
	whole     bool          // answers ranges with the whole blob
	fills     bool          // does so until it has sent the blob once
	// fault, if set, is asked at each step what becomes of a task.
	fault func(t *simTask, now time.Duration) simFault
}

type simFault int

const (
	simFine simFault = iota
	simStall
	simCut
	simBusy   // 503 to the request
	simRefuse // 403 to the request
	simReject // an answer that is of no use, whenever it is asked
)

type simTask struct {
	*task
	openAt   time.Duration
	opened   bool
	body     Range // what the answer holds
	credit   float64
	got      int64
	conn     *simConn
	closedAt time.Duration // when the scheduler ended it before its answer was complete
}

// simulation runs a scheduler against mirrors in virtual time, in steps of dt.
type simulation struct {
	rng       *rand.Rand
	dt        time.Duration
	limit     time.Duration // of virtual time
	segment   int64
	blobs     []int64
	sources   []simSource
	hints     []Hint
	limitRate float64 // bytes a second of all sources together; 0: no limit
	link      simLink // that all connections share
	sinkRate  float64 // bytes a second that the sink takes; 0: any
	noRace    bool    // nothing is fetched twice for speed
	lean      bool    // check the accounts at each tick only, where there are many tasks or runs
	// each, if set, is called before each step.
	each func(s *scheduler, now time.Duration)

	t        testing.TB
	s        *scheduler
	now      time.Duration
	at       time.Time
	running  [][]*simTask
	spent    map[int][]time.Duration // requests that count against a budget
	filled   map[[2]int]bool         // the caches that have sent a blob
	pools    [][]*simConn            // connections to each source that are free
	closed   [][]*simTask            // requests to each source that are over, and whose bytes still come
	rejected int                     // 429s
	buckets  []simBucket             // of each source with a ration
	res      simResult
}

type simResult struct {
	took     time.Duration
	served   int64 // bytes that mirrors sent
	unread   int64 // of these, bytes that came after the connection was closed
	requests int
	perMost  []int         // most requests at once to each source
	deciding time.Duration // real time that next took
	perBlob  []Set
	status   []Status
}

func (r simResult) hints() (all []Hint) {
	for _, status := range r.status {
		all = append(all, status.Hint)
	}
	return all
}

// check verifies the accounts after an event.
func (sim *simulation) check(after string) {
	if !sim.lean || after == "Tick" {
		mustBalance(sim.t, sim.s, after)
	}
}

func (sim *simulation) begin(t testing.TB) {
	var connections []int
	for _, src := range sim.sources {
		connections = append(connections, src.most)
	}
	sim.t, sim.s = t, newScheduler(sim.segment, sim.blobs, connections, 1)
	sim.s.noRace = sim.noRace
	for b, size := range sim.blobs {
		sim.s.want(b, Range{0, size})
	}
	for i, h := range sim.hints {
		sim.s.expect(i, h, time.Unix(0, 0))
	}
	if sim.rng == nil {
		sim.rng = rand.New(rand.NewPCG(5, 5))
	}
	sim.buckets = make([]simBucket, len(sim.sources))
	sim.link = simLink{rate: sim.link.rate, queue: sim.link.queue}
	sim.rejected, sim.spent, sim.filled = 0, make(map[int][]time.Duration), make(map[[2]int]bool)
	sim.running, sim.closed = make([][]*simTask, len(sim.sources)), make([][]*simTask, len(sim.sources))
	sim.pools = make([][]*simConn, len(sim.sources))
	for i := range sim.sources {
		sim.warm(i)
	}
	sim.res = simResult{perBlob: make([]Set, len(sim.blobs)), perMost: make([]int, len(sim.sources))}
}

func (sim *simulation) run(t testing.TB) simResult {
	t.Helper()
	sim.begin(t)
	sinceTick := tickInterval
	for sim.now = 0; ; sim.now += sim.dt {
		sim.at = time.Unix(0, 0).Add(sim.now)
		if sim.now > sim.limit {
			t.Fatalf("not done after %v: %d bytes left, %d tasks, status %+v", sim.now, sim.s.left(), len(sim.s.tasks), sim.s.status(sim.at))
		}
		if sim.each != nil {
			sim.each(sim.s, sim.now)
		}
		if sinceTick += sim.dt; sinceTick >= tickInterval {
			sim.s.tick(sim.at)
			sim.check("Tick")
			sinceTick = 0
		}
		sim.handOut()
		sim.link.step(sim.dt)
		sharers := sim.s.active()
		for i := range sim.running {
			sim.running[i] = sim.step(i, sim.running[i], sharers)
		}
		if sim.s.nothingToFetch(sim.at) {
			sim.res.took, sim.res.status = sim.now, sim.s.status(sim.at)
			return sim.res
		}
	}
}

// active is the number of answers that are on their way.
func (s *scheduler) active() (n int) {
	for _, src := range s.sources {
		n += src.answers
	}
	return n
}

// handOut makes all requests that the scheduler has.
func (sim *simulation) handOut() {
	for task := sim.next(); task != nil; task = sim.next() {
		i := task.source
		src := sim.sources[i]
		sim.res.requests++
		sim.check("Next")
		conn, handshake := sim.dial(i)
		task.sent = sim.at.Add(handshake)
		delay := handshake + src.rtt + sim.link.wait() + src.latency + time.Duration(float64(src.perMiB)*float64(task.asked.Len())/mib)
		if src.jitter > 0 {
			delay += time.Duration(sim.rng.Int64N(int64(src.jitter)))
		}
		sim.running[i] = append(sim.running[i], &simTask{task: task, conn: conn, openAt: sim.now + delay})
		sim.res.perMost[i] = max(sim.res.perMost[i], len(sim.running[i]))
		if most := cmp.Or(src.most, DefaultConnections); len(sim.running[i]) > most {
			sim.t.Fatalf("%d requests at once to a source that has %d connections", len(sim.running[i]), most)
		}
	}
}

func (sim *simulation) next() *task {
	began := time.Now()
	defer func() { sim.res.deciding += time.Since(began) }()
	return sim.s.next(sim.at)
}

// step moves the tasks of source i by dt. sharers is by how many tasks of all
// sources the common limit and the sink are shared.
func (sim *simulation) step(i int, tasks []*simTask, sharers int) []*simTask {
	src := sim.sources[i]
	active := 0
	for _, t := range tasks {
		if t.opened {
			active++
		}
	}
	left, own := sim.drain(i, sim.rateNow(i)*sim.dt.Seconds(), active), active
	kept := tasks[:0]
	for _, t := range tasks {
		opened, served, share := t.opened, sim.res.served, 0.0
		if opened {
			share = sim.share(src, t, left/float64(own)) // what one leaves, the next ones have
		}
		if !sim.move(src, t, active, share, sharers) {
			kept = append(kept, t)
		}
		switch {
		case !opened && t.opened:
			active++
		case opened:
			left -= float64(sim.res.served - served)
			own--
		}
	}
	return kept
}

func (sim *simulation) rateNow(i int) float64 {
	src := sim.sources[i]
	return src.rate * (1 + src.swing*math.Sin(2*math.Pi*sim.now.Seconds()/7+float64(i)))
}

// share is what of its part of the source's rate a connection lets through.
func (sim *simulation) share(src simSource, t *simTask, share float64) float64 {
	if src.connCap > 0 {
		share = min(share, src.connCap*sim.dt.Seconds())
	}
	if src.loss > 0 || src.slowStart || src.rtt > 0 {
		share = sim.link.carry(min(share, t.conn.most(src, &sim.link, sim.dt, sim.rng)))
	}
	return share
}

// move moves one task, and reports whether it is over.
func (sim *simulation) move(src simSource, t *simTask, active int, share float64, sharers int) bool {
	sim.s.takeRevoked()
	fault := simFine
	if src.fault != nil {
		fault = src.fault(t, sim.now)
	}
	answers := !t.opened && sim.now >= t.openAt
	switch {
	case t.revoked:
		return sim.end(t, outcome{kind: outcomeDone})
	case fault == simStall:
		return false
	case fault == simCut:
		return sim.end(t, outcome{kind: outcomeCut})
	case fault == simBusy && answers:
		return sim.end(t, outcome{kind: outcomeBusy})
	case fault == simRefuse && answers:
		return sim.end(t, outcome{kind: outcomeRefused})
	case fault == simReject && answers:
		return sim.end(t, outcome{kind: outcomeRejected})
	case answers && sim.rejects(src, t, active):
		sim.rejected++
		return sim.end(t, outcome{kind: outcomeBusy, after: sim.retryAfter(src, t)})
	case answers:
		return sim.open(src, t)
	case t.opened:
		return sim.bring(src, t, share, sharers)
	}
	return false
}

func (sim *simulation) end(t *simTask, why outcome) bool {
	if t.paused {
		sim.s.resume(t.task, sim.at)
	}
	sim.s.end(t.task, why, sim.at)
	sim.hangUp(t, why.kind)
	sim.check("End")
	return true
}

func (sim *simulation) open(src simSource, t *simTask) bool {
	t.opened, t.body = true, t.asked
	if src.whole || src.fills && !sim.filled[[2]int{t.source, t.blob}] {
		t.body = Range{0, sim.blobs[t.blob]}
	}
	useful := sim.s.opened(t.task, t.body, sim.at)
	sim.check("Opened")
	return !useful && sim.end(t, outcome{kind: outcomeDone})
}

// bring moves bytes of a body, as many as the limit and the sink let through.
func (sim *simulation) bring(src simSource, t *simTask, share float64, sharers int) bool {
	if t.paused {
		sim.s.resume(t.task, sim.at)
	}
	if limit := sim.limitRate * sim.dt.Seconds() / float64(sharers); limit > 0 && share > limit {
		share = limit
		defer func() {
			if t.index >= 0 {
				sim.s.pause(t.task)
			}
		}()
	}
	if sink := sim.sinkRate * sim.dt.Seconds() / float64(sharers); sink > 0 && share > sink {
		sim.s.sinkTime(time.Duration(float64(sim.dt) * (1 - sink/share)))
		share = sink
	}
	from := t.body.Start + t.got
	if sim.noRace { // no read goes beyond what is wanted
		share = min(share, float64(t.rest.Len())-t.credit)
	}
	n := sim.take(t, share)
	if n == 0 {
		return false
	}
	sim.res.perBlob[t.blob].Add(Range{from, from + n})
	if t.body.Len() == sim.blobs[t.blob] && t.got == t.body.Len() {
		sim.filled[[2]int{t.source, t.blob}] = true
	}
	wanted := sim.s.advance(t.task, n, sim.at)
	sim.check("Advance")
	return wanted == 0 && sim.end(t, outcome{kind: outcomeDone})
}

// take moves so many bytes of a body from the source to us, and returns how many
// whole bytes that were.
func (sim *simulation) take(t *simTask, share float64) int64 {
	t.credit += share
	n := min(int64(t.credit), t.body.Len()-t.got)
	t.credit -= float64(n)
	t.got += n
	sim.res.served += n
	return n
}

// rejects reports whether a source answers a request with 429.
func (sim *simulation) rejects(src simSource, t *simTask, active int) bool {
	if src.atOnce > 0 && active >= src.atOnce {
		return true
	}
	if src.ration.burst > 0 {
		return !sim.takeToken(src, t)
	}
	if src.budget == 0 {
		return false
	}
	recent := slices.DeleteFunc(sim.spent[t.source], func(at time.Duration) bool { return at < sim.now-time.Minute })
	sim.spent[t.source] = recent
	if len(recent) >= src.budget {
		return true
	}
	sim.spent[t.source] = append(recent, sim.now)
	return false
}

func (sim *simulation) retryAfter(src simSource, t *simTask) time.Duration {
	if src.ration.retryAfter {
		return sim.buckets[t.source].next(src.ration)
	}
	if src.budget == 0 {
		return 0
	}
	return sim.spent[t.source][0] + time.Minute - sim.now
}

func (r simResult) complete(t testing.TB, blobs []int64) {
	t.Helper()
	for b, size := range blobs {
		if got := r.perBlob[b].Len(); got != size {
			t.Errorf("blob %d: %d of %d bytes fetched", b, got, size)
		}
	}
}
