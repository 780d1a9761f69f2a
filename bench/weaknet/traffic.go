package weaknet

import (
	"encoding/binary"
	"slices"
	"sync"
)

// Traffic is what a host's link has delivered to it over TCP, in bytes of
// payload: everything above TCP, such as TLS and HTTP with their headers, also
// for connections that the host has closed.
//
// A packet that was lost counts nowhere, and its retransmission counts as new,
// since it is the first copy that arrives.
type Traffic struct {
	Payload  int64 // each byte of a connection once
	Repeated int64 // bytes that had arrived before: retransmissions without need
}

// traffic counts what arrives at a host.
type traffic struct {
	mu    sync.Mutex
	sum   Traffic
	flows map[flowKey]*flow
}

// flowKey is the direction of a connection that leads to the host.
type flowKey struct {
	address  uint32 // of the sender
	from, to uint16 // ports
}

func (t *traffic) read() Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}

// count takes a packet that has arrived.
func (t *traffic) count(packet []byte) {
	s, ok := parseSegment(packet)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.flow(s).add(s.seq, s.size)
	t.sum.Payload += int64(fresh)
	t.sum.Repeated += int64(s.size - fresh)
}

// flow is the one that a segment belongs to. A SYN begins a new one, unless it
// is a second copy of the SYN that began this one.
func (t *traffic) flow(s segment) *flow {
	f := t.flows[s.key]
	if f != nil && (!s.syn || s.seq == f.first) {
		return f
	}
	f = &flow{first: s.seq, next: s.seq}
	if t.flows == nil {
		t.flows = map[flowKey]*flow{}
	}
	t.flows[s.key] = f
	return f
}

// flow is which bytes of one direction of a connection have arrived. Positions
// are relative to next, because sequence numbers wrap.
type flow struct {
	first uint32 // byte of all
	next  uint32 // the first byte that has not arrived
	ahead []span // what has arrived beyond it: in order, apart from each other
}

// span is [from,to) as distances from next.
type span struct{ from, to int }

// add takes size bytes at a sequence number, and returns how many are new.
func (f *flow) add(seq uint32, size int) (fresh int) {
	from := int(int32(seq - f.next)) // negative for what came before
	s := span{max(from, 0), from + size}
	if s.to <= s.from {
		return 0
	}
	fresh = s.to - s.from
	var apart []span
	for _, other := range f.ahead {
		if other.to < s.from || other.from > s.to {
			apart = append(apart, other)
			continue
		}
		fresh -= max(0, min(s.to, other.to)-max(s.from, other.from))
		s = span{min(s.from, other.from), max(s.to, other.to)}
	}
	f.ahead = append(apart, s)
	slices.SortFunc(f.ahead, func(a, b span) int { return a.from - b.from })
	f.advance()
	return fresh
}

// advance moves next to the end of what has arrived without a gap.
func (f *flow) advance() {
	if f.ahead[0].from > 0 {
		return
	}
	by := f.ahead[0].to
	f.next += uint32(by)
	f.ahead = f.ahead[1:]
	for i := range f.ahead {
		f.ahead[i].from -= by
		f.ahead[i].to -= by
	}
}

// segment is what counts of a packet.
type segment struct {
	key  flowKey
	seq  uint32 // of the first byte of payload
	size int    // of the payload
	syn  bool
}

// parseSegment reads an IPv4 packet; false if it is not of TCP.
func parseSegment(packet []byte) (s segment, ok bool) {
	const protocolTCP, tcpHeader, flagSYN = 6, 20, 0x02
	header := int(packet[0]&0x0f) * 4
	if packet[9] != protocolTCP || len(packet) < header+tcpHeader {
		return s, false
	}
	tcp := packet[header:]
	s.key = flowKey{
		address: binary.BigEndian.Uint32(packet[12:16]),
		from:    binary.BigEndian.Uint16(tcp[0:2]),
		to:      binary.BigEndian.Uint16(tcp[2:4]),
	}
	s.seq = binary.BigEndian.Uint32(tcp[4:8])
	s.size = max(0, len(tcp)-int(tcp[12]>>4)*4)
	s.syn = tcp[13]&flagSYN != 0
	if s.syn {
		s.seq++ // SYN takes a number of its own
	}
	return s, true
}
