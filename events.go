package segpull

import "time"

// Observer receives the events of a pull. The pull calls Observe from one
// goroutine at a time and waits for it, so it must not block.
type Observer interface {
	Observe(Event)
}

// Event is one of Waiting, Resolved, Progress, Stalled, Warning, Trouble,
// Corrupt and Finished.
type Event interface{ event() }

// Waiting says that no source has answered for 2 s which image a reference is.
type Waiting struct {
	Reference string   // as in Resolved
	Sources   []string // that were asked and have not answered
}

// Resolved says which image a reference names. The pull sends it once per image, before the first byte of a blob.
type Resolved struct {
	Reference string // as the user would write it, e.g. "ubuntu:22.04"
	Digest    string // of the index or manifest that the reference names
	Platform  string // e.g. "linux/arm64"
	Source    string // the source that resolved the tag
	Path      string // where the archive will be; "-" for standard output
	Size      int64  // bytes of all blobs, each digest once
	Blobs     []BlobInfo
}

// BlobInfo names a blob of the image.
type BlobInfo struct {
	Digest string
	Size   int64 // bytes
}

// Progress is sampled about five times a second while blobs are fetched and
// verified. The last one of an image has Done == Total.
type Progress struct {
	Reference string
	Done      int64         // bytes on disk, resumed ones included
	Total     int64         // bytes of all blobs
	Resumed   int64         // bytes that were there before this run
	Rate      float64       // bytes a second, smoothed over a few seconds
	Remaining time.Duration // until the end at this rate; negative when unknown
	Blobs     []BlobProgress
	Sources   []SourceProgress
}

// BlobProgress is how far one blob is.
type BlobProgress struct {
	Digest   string
	Done     int64 // bytes on disk
	Verified int64 // bytes of the contiguous prefix that SHA-256 has seen
	Size     int64
}

// SourceProgress is the state of one source.
type SourceProgress struct {
	Name        string
	Bytes       int64   // served in this run
	Rate        float64 // bytes a second
	Connections int     // open now
	State       string  // "active", "waiting", "cooling", "probing" or "off"
}

// Stalled says that no source has sent a byte for about 10 s, and why. The pull
// sends it once until the next byte.
type Stalled struct {
	Reference string        // as in Resolved
	Silent    time.Duration // since the last byte
	Reasons   []string      // one line for each source in use
}

// Warning is something that the user should know, in one line, with what to do.
type Warning struct{ Message string }

// Trouble is a request that failed and is being tried again or elsewhere, or a
// source that is not used until it is clear whether its bytes are wrong.
type Trouble struct {
	Source  string
	Message string
}

// Corrupt is a source that was proved to serve wrong bytes. It is not used any
// more in this call. A Warning says the same.
type Corrupt struct {
	Source string
	Proof  string // in one line, with the digest of the blob
}

// Finished says that an image's archive is complete and in its place.
type Finished struct{ Result Result }

func (Waiting) event()  {}
func (Resolved) event() {}
func (Progress) event() {}
func (Stalled) event()  {}
func (Warning) event()  {}
func (Trouble) event()  {}
func (Corrupt) event()  {}
func (Finished) event() {}
