package lab

import (
	"testing"
	"time"
)

func TestFullestWindow(t *testing.T) {
	run := func(bytes ...int64) (run Run) {
		for i, b := range bytes {
			run.Samples = append(run.Samples, Sample{At: time.Duration(i) * sampleInterval, User: b})
		}
		return run
	}
	tests := []struct {
		name string
		run  Run
		want int64
	}{
		{"none", Run{}, 0},
		{"steady", run(0, 10, 20, 30, 40), 20},
		{"a burst in the middle", run(0, 1, 2, 52, 53, 54), 51},
		{"shorter than the window", run(0, 7), 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.run.FullestWindow(2 * sampleInterval); got != tt.want {
				t.Errorf("FullestWindow = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestReceivedBy(t *testing.T) {
	run := Run{Samples: []Sample{{At: 0}, {At: sampleInterval, User: 5}, {At: 2 * sampleInterval, User: 9}}}
	for at, want := range map[time.Duration]int64{0: 0, sampleInterval: 5, time.Hour: 9} {
		if got := run.ReceivedBy(at); got != want {
			t.Errorf("ReceivedBy(%v) = %d, want %d", at, got, want)
		}
	}
}
