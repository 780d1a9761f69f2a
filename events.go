package segpull

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Observer receives the events of a pull. Pull calls Observe from one goroutine
// at a time and waits until it returns, so Observe must not block.
type Observer interface {
	Observe(Event)
}

// Event is one of Waiting, Resolved, Progress, Sending, Stalled, Warning, Trouble,
// Request, Corrupt, Finished and Failed. encoding/json writes each as an object with the fields
// that docs/events.md describes, without event and time. Lists are never nil.
type Event interface {
	// Kind is the name of the type in lower case, such as "waiting".
	Kind() string
}

// Waiting says that no source has answered for 2 s which image a reference
// names.
type Waiting struct {
	Reference string   `json:"reference"` // as in Resolved
	Sources   []string `json:"sources"`   // names of those that were asked and have not answered
}

// Resolved says which image a reference names. Pull sends it once for each image,
// before it fetches the first layer.
type Resolved struct {
	Reference string     `json:"reference"` // as the user would write it, such as "ubuntu:22.04"
	Digest    string     `json:"digest"`    // of the index or manifest that the reference names
	Platform  string     `json:"platform"`  // of the image, OS/ARCH[/VARIANT], or "all"
	Source    string     `json:"source"`    // the source that resolved the tag; "" for an image named by digest
	Path      string     `json:"path"`      // where the archive will be; "-" is Options.Stdout, "" none
	Size      int64      `json:"size"`      // bytes of all blobs, each digest once
	Blobs     []BlobInfo `json:"blobs"`     // the config and the layers, each digest once
}

// BlobInfo names a blob of the image.
type BlobInfo struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

// Progress says how far the pull of an image is. Pull sends it about five times
// a second while it fetches and verifies blobs. The last one of an image has
// Done == Total.
type Progress struct {
	Reference string           `json:"reference"`         // as in Resolved
	Done      int64            `json:"done"`              // bytes on disk, including Resumed
	Total     int64            `json:"total"`             // bytes of all blobs
	Resumed   int64            `json:"resumed"`           // bytes that were on disk before this call
	Rate      int64            `json:"rate"`              // bytes a second, smoothed over a few seconds
	Remaining Duration         `json:"remaining_seconds"` // until the end at this rate; negative if unknown
	Blobs     []BlobProgress   `json:"blobs"`
	Sources   []SourceProgress `json:"sources"`
}

// BlobProgress says how far one blob is.
type BlobProgress struct {
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`     // bytes
	Done     int64  `json:"done"`     // bytes on disk
	Verified int64  `json:"verified"` // bytes from the start that SHA-256 has seen
}

// SourceProgress is the state of one source.
type SourceProgress struct {
	Name        string `json:"name"`
	Bytes       int64  `json:"bytes"`       // served in this call
	Rate        int64  `json:"rate"`        // bytes a second
	Connections int    `json:"connections"` // open now
	// State is "active": it has requests; "waiting": it has none; "cooling": it
	// failed or asked to wait, and gets no request for a time; "probing": it
	// failed several times in a row, and gets one connection until it delivers;
	// "off": it refuses access, or it is corrupt.
	State string `json:"state"`
}

// Sending says how much of an image an engine or a registry has got. Pull sends it when it begins,
// about five times a second, and at the end, when Done == Total.
type Sending struct {
	Reference string `json:"reference"` // as in Resolved
	To        string `json:"to"`        // the engine, such as "docker", or the name in the registry
	Done      int64  `json:"done"`      // bytes that it has got, or had before; 0 until the end for podman, which reads them itself
	Total     int64  `json:"total"`     // about as many as it gets
	Rate      int64  `json:"rate"`      // bytes a second since it began
}

// Stalled says that no source has sent a byte for about 10 s, and why. Pull
// sends it once until the next byte.
type Stalled struct {
	Reference string   `json:"reference"`      // as in Resolved
	Silent    Duration `json:"silent_seconds"` // since the last byte
	Reasons   []string `json:"reasons"`        // one line for each source in use
}

// Warning is one line that tells the user about a problem and what to do about
// it.
type Warning struct {
	Message string `json:"message"`
}

// Trouble says that a request failed and that the pull repeats it there or
// elsewhere, or that the pull does not use a source until it is clear whether
// its bytes are wrong.
type Trouble struct {
	Source  string `json:"source"`
	Message string `json:"message"` // one line
}

// Request says how one request for bytes of a blob went. Pull sends it when the
// request has ended.
type Request struct {
	Source   string   `json:"source"`
	Digest   string   `json:"digest"`           // of the blob
	Start    int64    `json:"start"`            // the first byte that was asked for
	End      int64    `json:"end"`              // the byte after the last one that was asked for
	Bytes    int64    `json:"bytes"`            // that came
	Waited   Duration `json:"waited_seconds"`   // until the answer began, or until it failed
	Duration Duration `json:"duration_seconds"` // of the whole request, which ended now
	Error    string   `json:"error"`            // one line; "" also if the pull ended it, because others were faster
}

// Corrupt says that a source was proved to serve wrong bytes. The pull does not
// use it any more, unless all other sources are corrupt as well. A Warning says
// the same.
type Corrupt struct {
	Source string `json:"source"`
	Proof  string `json:"proof"` // one line, with the digest of the blob
}

// Finished says that an image's archive is complete and in its place, and that the
// engine and the registry have it.
type Finished struct {
	Result
}

// Failed says that the pull of one image of a batch ended with an error, and that
// the pull goes on with the others.
type Failed struct {
	Reference string `json:"reference"` // as in Resolved, or as the caller wrote it if it is invalid
	Message   string `json:"message"`   // one line
	Class     string `json:"class"`     // "usage", "not found", "credentials", "mismatch", "network" or "permanent"; "" for other errors
}

func (Waiting) Kind() string  { return "waiting" }
func (Resolved) Kind() string { return "resolved" }
func (Progress) Kind() string { return "progress" }
func (Sending) Kind() string  { return "sending" }
func (Stalled) Kind() string  { return "stalled" }
func (Warning) Kind() string  { return "warning" }
func (Trouble) Kind() string  { return "trouble" }
func (Request) Kind() string  { return "request" }
func (Corrupt) Kind() string  { return "corrupt" }
func (Finished) Kind() string { return "finished" }
func (Failed) Kind() string   { return "failed" }

// Duration is a time.Duration that JSON has in seconds, with up to three
// decimals, or as null if it is negative.
type Duration struct{ time.Duration }

// MarshalJSON writes the seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	if d.Duration < 0 {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, d.Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON wrote; null becomes -1.
func (d *Duration) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		d.Duration = -1
		return nil
	}
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	d.Duration = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	return nil
}
