package weaknet

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

// mtu is that of Ethernet.
const mtu = 1500

// box carries packets between ports. One goroutine per port reads; one writes
// each packet at its time.
type box struct {
	mu     sync.Mutex
	ports  []*port
	random *rand.Rand
	due    packets
	wake   chan struct{}
	quit   chan struct{}
	done   sync.WaitGroup
}

// port connects a host's device with the box.
type port struct {
	address uint32
	host    *Host
	up      pipe
	down    pipe
}

// packet is on its way to a port. At time at it reaches the end of its pipe.
type packet struct {
	at    time.Time
	to    *port
	last  bool // in the receiver's pipe
	bytes []byte
}

func newBox(ports []*port) *box {
	b := &box{
		ports:  ports,
		random: rand.New(rand.NewPCG(1, 2)),
		wake:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
	}
	for _, p := range ports {
		b.done.Go(func() { b.read(p) })
	}
	b.done.Go(b.deliver)
	return b
}

// close waits for all goroutines. The devices have to be closed before, which
// ends their readers.
func (b *box) close() {
	close(b.quit)
	b.done.Wait()
}

func (b *box) read(from *port) {
	buffer := make([]byte, mtu)
	for {
		n, err := from.host.device.Read(buffer)
		if err != nil {
			return
		}
		b.enter(from, append([]byte(nil), buffer[:n]...))
	}
}

// enter takes a packet from its sender's device.
func (b *box) enter(from *port, bytes []byte) {
	if len(bytes) < ipv4Header || bytes[0]>>4 != 4 {
		return
	}
	to := b.port(binary.BigEndian.Uint32(bytes[16:20]))
	if to == nil {
		return
	}
	b.mu.Lock()
	at, ok := from.up.carry(time.Now(), len(bytes), b.random)
	if ok {
		heap.Push(&b.due, &packet{at: at, to: to, bytes: bytes})
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *box) port(address uint32) *port {
	for _, p := range b.ports {
		if p.address == address {
			return p
		}
	}
	return nil
}

func (b *box) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		arrived, next := b.step(time.Now())
		for _, p := range arrived {
			p.to.host.received.count(p.bytes)
			_, _ = p.to.host.device.Write(p.bytes) // a full device drops packets
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-b.wake:
		case <-b.quit:
			return
		}
	}
}

// step moves every packet whose time has come to its next pipe. It returns those
// that have arrived, and the time until the next step.
func (b *box) step(now time.Time) (arrived []*packet, next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.due) > 0 {
		p := b.due[0]
		if p.at.After(now) {
			return arrived, p.at.Sub(now)
		}
		heap.Pop(&b.due)
		if p.last {
			arrived = append(arrived, p)
			continue
		}
		// The time is that of the event, not of now: a box that woke late
		// must not make the link slower.
		if at, ok := p.to.down.carry(p.at, len(p.bytes), b.random); ok {
			p.at, p.last = at, true
			heap.Push(&b.due, p)
		}
	}
	return arrived, time.Hour
}

// idle says whether no packet is on its way.
func (b *box) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.due) == 0
}

const ipv4Header = 20 // bytes, at the least

// packets is a heap by time.
type packets []*packet

func (p packets) Len() int           { return len(p) }
func (p packets) Less(i, j int) bool { return p[i].at.Before(p[j].at) }
func (p packets) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)        { *p = append(*p, x.(*packet)) }
func (p *packets) Pop() any {
	last := (*p)[len(*p)-1]
	(*p)[len(*p)-1] = nil
	*p = (*p)[:len(*p)-1]
	return last
}
