package fleetsim

import (
	"slices"
	"time"
)

// Fleet is what is simulated: nodes, images, and the lines between nodes and mirrors.
// All rates are bytes a second; 0: no limit.
type Fleet struct {
	Blobs  []int64 // the size of each, in bytes
	Images [][]int // the blobs of each, in the order in which nodes ask for them
	Links  []float64
	Pulls  []Pull // in order of time

	Origins     int           // at least 1
	OriginRate  float64       // of each origin
	FrontRate   float64       // of nginx before all origins
	OriginDisk  int64         // of each origin, in bytes; 0: no limit
	Mirrors     float64       // of all mirrors together
	MirrorDelay time.Duration // until the mirrors answer a request
	TagTTL      time.Duration // how long origins use a tag's digest without asking again

	RoundTrip    time.Duration // from a node's request to an origin's answer
	AtOnce       int           // blobs that a pull fetches at once; at least 1
	VerifiedOnly bool          // origins send nothing of a blob before they have all of it
	Peers        bool          // nodes send blobs to each other, at the rate of their links
	Piece        int64         // most bytes of a piece; the first one has 64 KiB at most
}

// Pull is one node's pull of one image.
type Pull struct {
	At          time.Duration // when it begins
	Node, Image int
}

// Bound is the earliest time at which all pulls can have ended, however the bytes are
// sent. None is earlier than each of these:
//
//   - the start of a pull, and its bytes divided by its node's link;
//   - the time for one copy of each blob at the rate of all mirrors;
//   - the time for the bytes of all pulls at the rate of the front, or of all origins
//     together. With Peers, both must send only one copy of each blob.
//
// Each pull counts with all blobs of its image that no earlier pull of its node has.
func (f Fleet) Bound() time.Duration {
	var bound time.Duration
	var all int64
	once := make(map[int]bool)
	has := make([]map[int]bool, len(f.Links))
	for _, p := range f.Pulls {
		var size int64
		for _, b := range f.Images[p.Image] {
			if !has[p.Node][b] {
				size += f.Blobs[b]
			}
			if has[p.Node] == nil {
				has[p.Node] = make(map[int]bool)
			}
			has[p.Node][b], once[b] = true, true
		}
		all += size
		bound = max(bound, p.At+duration(size, f.Links[p.Node]))
	}
	var need int64
	for b := range once {
		need += f.Blobs[b]
	}
	if f.Peers {
		all = need
	}
	return slices.Max([]time.Duration{
		bound, duration(need, f.Mirrors), duration(all, f.FrontRate), duration(all, f.OriginRate*float64(f.Origins)),
	})
}

// duration is how long a line of a rate takes for some bytes.
func duration(bytes int64, rate float64) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(bytes) / rate * float64(time.Second))
}

// Result is what a run had: bytes, and times after its start.
type Result struct {
	Mirrored   int64           // bytes from the mirrors
	Served     int64           // bytes from origins to nodes
	Shared     int64           // bytes between nodes
	Origins    []int64         // bytes that each origin has served
	Busiest    float64         // most bytes a second that an origin has served in a minute
	Line       float64         // most bytes a second that the mirrors have sent in a minute
	Asked      int             // requests for tags at origins
	Resolved   int             // those of them for which the mirrors were asked
	Cold, Warm []time.Duration // from requests for blobs to their first pieces: cold where the origin lacked the blob
	Done       []Done          // of each pull, in the order of Fleet.Pulls
}

// Done is how a pull ended.
type Done struct {
	At    time.Duration
	Bytes int64 // that the node lacked
}

// Last is when the last pull ended.
func (r Result) Last() (at time.Duration) {
	for _, d := range r.Done {
		at = max(at, d.At)
	}
	return at
}
