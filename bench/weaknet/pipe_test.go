package weaknet

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPipe(t *testing.T) {
	const packets, size = 2000, 1000
	tests := []struct {
		name      string
		rate      int64
		link      Link
		every     time.Duration // a packet enters
		delivered [2]float64    // share, from and to
		last      time.Duration // arrival of the last, ± 20 %
	}{
		{"no limits", 0, Link{}, time.Millisecond, [2]float64{1, 1}, 2 * time.Second},
		{"delay", 0, Link{Delay: time.Second}, time.Millisecond, [2]float64{1, 1}, 3 * time.Second},
		{"half of the rate", 500_000, Link{}, time.Millisecond, [2]float64{0.5, 0.55}, 2100 * time.Millisecond},
		{"a queue that takes all", 500_000, Link{Queue: time.Hour}, time.Millisecond, [2]float64{1, 1}, 4 * time.Second},
		{"loss", 0, Link{Loss: 0.1}, time.Millisecond, [2]float64{0.87, 0.93}, 2 * time.Second},
		{"jitter", 0, Link{Jitter: 50 * time.Millisecond}, time.Millisecond, [2]float64{1, 1}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPipe(tt.rate, tt.link)
			random := rand.New(rand.NewPCG(1, 1))
			start := time.Unix(0, 0)
			delivered := 0
			previous := start
			for i := range packets {
				at, ok := p.carry(start.Add(time.Duration(i)*tt.every), size, random)
				if !ok {
					continue
				}
				delivered++
				if at.Before(previous) {
					t.Fatalf("packet %d arrives before its predecessor", i)
				}
				previous = at
			}
			share := float64(delivered) / packets
			if share < tt.delivered[0] || share > tt.delivered[1] {
				t.Errorf("%.3f of the packets arrived, want %v", share, tt.delivered)
			}
			last := previous.Sub(start)
			if last < tt.last*8/10 || last > tt.last*12/10 {
				t.Errorf("the last one arrived after %v, want about %v", last, tt.last)
			}
		})
	}
}

func TestReorder(t *testing.T) {
	p := newPipe(0, Link{Delay: 100 * time.Millisecond, Reorder: 0.2})
	random := rand.New(rand.NewPCG(1, 1))
	start := time.Unix(0, 0)
	overtaken := 0
	var latest time.Time
	for i := range 1000 {
		at, _ := p.carry(start.Add(time.Duration(i)*time.Millisecond), 100, random)
		if at.Before(latest) {
			overtaken++
		} else {
			latest = at
		}
	}
	if overtaken < 150 || overtaken > 250 {
		t.Errorf("%d of 1000 packets overtook others, want about 200", overtaken)
	}
}
