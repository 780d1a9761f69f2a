package lab

import (
	"testing"
	"time"
)

func TestLowerBound(t *testing.T) {
	tests := []struct {
		name     string
		size     int64
		link     int64
		supplies []supply
		want     time.Duration
	}{
		{"one mirror", 100, 0, []supply{{rate: 10}}, 10 * time.Second},
		{"the sum of three", 120, 0, []supply{{rate: 2}, {rate: 4}, {rate: 6}}, 10 * time.Second},
		{"the user's own link", 120, 6, []supply{{rate: 4}, {rate: 8}}, 20 * time.Second},
		{"one hangs", 120, 0, []supply{{rate: 10}, {rate: 10, until: 2 * time.Second}}, 10 * time.Second},
		{"one hangs after the end", 40, 0, []supply{{rate: 10}, {rate: 10, until: time.Minute}}, 2 * time.Second},
		{"one hangs, and the link is the limit", 100, 10, []supply{{rate: 10}, {rate: 10, until: time.Second}}, 10 * time.Second},
		{"all hang", 100, 0, []supply{{rate: 10, until: time.Second}}, forever},
		{"nothing to fetch", 0, 0, []supply{{rate: 10}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := lowerBound(tt.size, tt.link, tt.supplies); got != tt.want {
				t.Errorf("lowerBound = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBound(t *testing.T) {
	tests := []struct {
		name string
		c    Case
		want time.Duration
	}{
		{"useless mirrors do not count", Case{Mirrors: []Mirror{{Rate: 10}, {Rate: 90, Useless: true}}}, 10 * time.Second},
		{"round trips", Case{RoundTrips: 3, Mirrors: []Mirror{{Rate: 100, RTT: time.Second}}}, 4 * time.Second},
		{"no limit but the machine", Case{Mirrors: []Mirror{{Name: "local"}}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.Bound(100); got != tt.want {
				t.Errorf("bound = %v, want %v", got, tt.want)
			}
		})
	}
}
