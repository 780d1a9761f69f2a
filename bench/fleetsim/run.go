package fleetsim

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// firstPiece is how many bytes of a blob come first, and growth by how much the next
	// pieces are larger, up to Fleet.Piece: the first byte does not wait for a large piece.
	firstPiece = 64 << 10
	growth     = 4
	// mostUploads is how many blobs a peer sends at once, and peersAsked how many peers a node
	// asks before it asks an origin.
	mostUploads = 4
	peersAsked  = 3
	// window is how many pieces a connection has on their way.
	window = 2
)

// Run simulates the fleet, until ctx ends, whose cause is then the error. The same fleet
// gives the same result. It takes about a second for three million pieces.
func (f Fleet) Run(ctx context.Context) (Result, error) {
	s := newSimulation(f)
	s.start(0)
	if err := s.run(ctx); err != nil {
		return Result{}, err
	}
	for _, o := range s.origins {
		s.result.Origins = append(s.result.Origins, o.out.sent)
		s.result.Served += o.out.sent
		s.result.Busiest = max(s.result.Busiest, o.out.busiest())
	}
	s.result.Mirrored, s.result.Line = s.mirrors.sent, s.mirrors.busiest()
	return s.result, nil
}

// simulation is a fleet at one moment.
type simulation struct {
	clock
	Fleet
	random  *rand.Rand
	mirrors line
	front   line
	origins []*origin
	nodes   []*node
	holders [][]*node // of each blob
	tags    []time.Duration
	result  Result
}

// node is a machine that pulls.
type node struct {
	down, up line
	uploads  int          // blobs that it sends to others
	has      map[int]bool // blobs that it has or fetches
}

func newSimulation(f Fleet) *simulation {
	s := &simulation{
		Fleet: f, random: rand.New(rand.NewPCG(1, 2)),
		mirrors: line{rate: f.Mirrors}, front: line{rate: f.FrontRate},
		holders: make([][]*node, len(f.Blobs)),
		tags:    make([]time.Duration, len(f.Images)),
		result:  Result{Done: make([]Done, len(f.Pulls))},
	}
	for range f.Origins {
		s.origins = append(s.origins, newOrigin(f))
	}
	for _, rate := range f.Links {
		s.nodes = append(s.nodes, &node{down: line{rate: rate}, up: line{rate: rate}, has: make(map[int]bool)})
	}
	for i := range s.tags {
		s.tags[i] = -1
	}
	return s
}

// pull is a pull that runs.
type pull struct {
	number  int
	node    *node
	left    []int // blobs that it has still to ask for
	running int
}

// start lets a pull begin at its time, and then the next one.
func (s *simulation) start(number int) {
	if number < len(s.Pulls) {
		s.at(s.Pulls[number].At, func() {
			s.start(number + 1)
			s.begin(number)
		})
	}
}

// begin asks for the tag, and then for the first blobs.
func (s *simulation) begin(number int) {
	p := s.Pulls[number]
	wait := s.RoundTrip
	s.result.Asked++
	if at := s.tags[p.Image]; at < 0 || s.now-at >= s.TagTTL {
		s.tags[p.Image] = s.now
		s.result.Resolved++
		wait += s.MirrorDelay
	}
	running := &pull{number: number, node: s.nodes[p.Node]}
	for _, b := range s.Images[p.Image] {
		if !running.node.has[b] {
			running.node.has[b] = true
			running.left = append(running.left, b)
			s.result.Done[number].Bytes += s.Blobs[b]
		}
	}
	s.at(s.now+wait, func() { s.next(running) })
}

// next asks for as many blobs as the pull may fetch at once.
func (s *simulation) next(p *pull) {
	for len(p.left) > 0 && p.running < s.AtOnce {
		t := &transit{pull: p, blob: p.left[0], asked: s.now}
		p.left = p.left[1:]
		p.running++
		s.at(s.now+s.RoundTrip, func() { s.answer(t) })
	}
	if p.running == 0 {
		s.result.Done[p.number].At = s.now
	}
}

// transit is a blob on its way to a node.
type transit struct {
	pull             *pull
	blob             int
	peer             *node  // that sends it; nil: an origin does
	from             *line  // of the origin, or of the peer
	fetch            *fetch // nil: the sender has the whole blob
	cold             bool   // the origin did not have the blob when it was asked
	waits            bool   // for the fetch
	asked            time.Duration
	issued, received int64
	piece            int64 // size of the next one
}

// answer chooses who sends a blob.
func (s *simulation) answer(t *transit) {
	t.piece = min(firstPiece, s.Piece)
	if t.peer = s.choosePeer(t.blob); t.peer != nil {
		t.peer.uploads++
		t.from = &t.peer.up
		s.send(t)
		return
	}
	o := s.origins[owner(t.blob, len(s.origins))]
	t.from = &o.out
	if !o.use(t.blob) {
		t.fetch, t.cold = s.fetchTo(o, t.blob), true
	}
	s.send(t)
}

// choosePeer returns a node that has a blob and may send it, of a few that it looks at; nil
// if there is none.
func (s *simulation) choosePeer(blob int) *node {
	peers := s.holders[blob]
	if !s.Peers || len(peers) == 0 {
		return nil
	}
	for range peersAsked {
		if n := peers[s.random.IntN(len(peers))]; n.uploads < mostUploads {
			return n
		}
	}
	return nil
}

// owner is the origin of a blob: a hash of its number.
func owner(blob, origins int) int {
	hash := (uint64(blob) + 1) * 0x9e3779b97f4a7c15
	return int(hash >> 33 % uint64(origins))
}

// send sends pieces of a blob, as many as may be on their way.
func (s *simulation) send(t *transit) {
	size := s.Blobs[t.blob]
	for t.issued < size && t.issued-t.received < window*s.Piece {
		n := min(t.piece, size-t.issued)
		if t.fetch != nil && !t.fetch.has(t.issued+n, s.VerifiedOnly) {
			t.fetch.add(t)
			return
		}
		t.issued += n
		t.piece = min(t.piece*growth, s.Piece)
		s.at(t.from.send(s.now, n), func() { s.forward(t, n) })
	}
}

// forward sends a piece from an origin through the front, and then on the node's link.
// Peers send without the front.
func (s *simulation) forward(t *transit, n int64) {
	arrive := func() { s.at(t.pull.node.down.send(s.now, n), func() { s.receive(t, n) }) }
	if s.FrontRate == 0 || t.peer != nil {
		arrive()
		return
	}
	s.at(s.front.send(s.now, n), arrive)
}

// receive takes a piece at the node.
func (s *simulation) receive(t *transit, n int64) {
	if t.received == 0 {
		first := &s.result.Warm
		if t.cold {
			first = &s.result.Cold
		}
		*first = append(*first, s.now-t.asked)
	}
	if t.peer != nil {
		s.result.Shared += n
	}
	if t.received += n; t.received < s.Blobs[t.blob] {
		s.send(t)
		return
	}
	if t.peer != nil {
		t.peer.uploads--
	}
	s.holders[t.blob] = append(s.holders[t.blob], t.pull.node)
	t.pull.running--
	s.next(t.pull)
}
