package main

import (
	"testing"
	"time"
)

func TestFullestWindow(t *testing.T) {
	samples := func(bytes ...int64) (all []sample) {
		for i, b := range bytes {
			all = append(all, sample{at: time.Duration(i) * sampleEvery, user: b})
		}
		return all
	}
	tests := []struct {
		name    string
		samples []sample
		want    int64
	}{
		{"none", nil, 0},
		{"steady", samples(0, 10, 20, 30, 40), 20},
		{"a burst in the middle", samples(0, 1, 2, 52, 53, 54), 51},
		{"shorter than the window", samples(0, 7), 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fullestWindow(tt.samples, 2*sampleEvery); got != tt.want {
				t.Errorf("fullestWindow = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestReceivedBy(t *testing.T) {
	samples := []sample{{at: 0}, {at: sampleEvery, user: 5}, {at: 2 * sampleEvery, user: 9}}
	for at, want := range map[time.Duration]int64{0: 0, sampleEvery: 5, time.Hour: 9} {
		if got := receivedBy(samples, at); got != want {
			t.Errorf("receivedBy(%v) = %d, want %d", at, got, want)
		}
	}
}
