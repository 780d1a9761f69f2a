package report

import (
	"slices"
	"testing"
	"time"

	"github.com/segpull/segpull/bench/chart"
	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestSpans(t *testing.T) {
	start := time.Unix(100, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	blob := registrytest.KindBlob
	got := spans([]registrytest.Request{
		{Kind: registrytest.KindManifest, Arrived: at(0), Done: at(1)},
		{Kind: blob, Arrived: at(1), FirstByte: at(2), Done: at(4), Status: 206, End: 10, Bytes: 10},
		{Kind: blob, Arrived: at(2), FirstByte: at(3), Done: at(5), Status: 206, End: 10, Bytes: 3},
		{Kind: blob, Arrived: at(4), FirstByte: at(4), Done: at(6), Status: 503},
		{Kind: blob, Arrived: at(7)}, // never answered
	}, start, 9)
	want := []chart.Span{
		{Row: 0, From: 1, First: 2, To: 4},
		{Row: 1, From: 2, First: 3, To: 5, Broken: true},
		{Row: 0, From: 4, First: 4, To: 6, Broken: true},
		{Row: 0, From: 7, First: 9, To: 9},
	}
	for i := range got {
		got[i].Title = ""
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans:\n got %+v\nwant %+v", got, want)
	}
}

// served makes samples half a second apart.
func served(bytes ...int64) (samples []lab.Sample) {
	for i, b := range bytes {
		samples = append(samples, lab.Sample{At: time.Duration(i) * time.Second / 2, Mirrors: []int64{b}})
	}
	return samples
}

func TestStalls(t *testing.T) {
	asked := []chart.Span{{From: 0, To: 3}}
	tests := []struct {
		name    string
		samples []lab.Sample
		want    []chart.Stall
	}{
		{"none", served(0, 1, 2, 3, 4, 5), nil},
		{"too short", served(0, 1, 1, 2, 3), nil},
		{"in the middle", served(0, 1, 1, 1, 1, 2), []chart.Stall{{From: 0.5, To: 2}}},
		{"to the end", served(0, 1, 2, 2, 2, 2), []chart.Stall{{From: 1, To: 2.5}}},
		{"idle without a request", served(0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6), nil},
		{"no samples", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := stalls(tt.samples, 0, asked); !slices.Equal(got, tt.want) {
				t.Errorf("stalls = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPerSecond(t *testing.T) {
	got := perSecond(served(0, mib, 2*mib, 2*mib, 5*mib), 0)
	if want := []float64{1, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("perSecond = %v, want %v", got, want)
	}
}
