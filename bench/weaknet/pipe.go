package weaknet

import (
	"math/rand/v2"
	"time"
)

// Link connects a host with the network. The zero value has no delay and no
// loss.
type Link struct {
	Up, Down int64         // bytes a second, IP headers included; 0: no limit
	Delay    time.Duration // in each direction; half of the round trip
	Jitter   time.Duration // more delay up to this, random for each packet; the order stays
	Loss     float64       // of packets in each direction, 0 to 1
	Reorder  float64       // of packets in each direction that overtake the rest of the delay
	Queue    time.Duration // size of the buffer before the link, as a time at its rate. 0: 100 ms
}

const (
	defaultQueue = 100 * time.Millisecond
	smallQueue   = 16 * mtu // even a slow link holds some packets
)

// pipe is one direction of a link. It computes times and reads no clock.
type pipe struct {
	rate   int64
	queue  int64 // bytes
	delay  time.Duration
	jitter time.Duration
	loss   float64
	over   float64 // share of packets that overtake

	free    time.Time // when the line has sent all packets so far
	arrived time.Time // when the latest packet arrives, which the next may not overtake
}

func newPipe(rate int64, l Link) pipe {
	queue := l.Queue
	if queue == 0 {
		queue = defaultQueue
	}
	return pipe{
		rate:   rate,
		queue:  max(smallQueue, int64(queue.Seconds()*float64(rate))),
		delay:  l.Delay,
		jitter: l.Jitter,
		loss:   l.Loss,
		over:   l.Reorder,
	}
}

// carry takes a packet and returns when it arrives at the other end;
// false if the queue was full or the packet got lost on its way.
func (p *pipe) carry(now time.Time, size int, random *rand.Rand) (time.Time, bool) {
	sent := now
	if p.rate > 0 {
		waiting := max(0, p.free.Sub(now))
		if int64(waiting.Seconds()*float64(p.rate))+int64(size) > p.queue {
			return time.Time{}, false
		}
		sent = now.Add(waiting + time.Duration(float64(size)/float64(p.rate)*float64(time.Second)))
		p.free = sent
	}
	if p.loss > 0 && random.Float64() < p.loss {
		return time.Time{}, false
	}
	if p.over > 0 && random.Float64() < p.over {
		return sent, true
	}
	at := sent.Add(p.delay)
	if p.jitter > 0 {
		at = at.Add(time.Duration(random.Int64N(int64(p.jitter))))
	}
	if at.Before(p.arrived) {
		at = p.arrived
	}
	p.arrived = at
	return at, true
}
