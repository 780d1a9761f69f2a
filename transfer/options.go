package transfer

import (
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// Options says which blobs to fetch, from which sources, and where to store
// them.
type Options struct {
	Repository  string                      // of the blobs, as each source knows it, e.g. "library/alpine"
	Blobs       []ocispec.Descriptor        // in the order in which they are fetched; an index into them names a blob
	Sources     []*sources.Source           // at least one; no two of a name
	Shared      Store                       // is asked first for the blobs that it has, see AddShared and Assign; nil: none
	Store       *state.Store                // opened for these blobs, and for the names of these sources first, then that of Shared; nil if there are none
	Scratch     func() (*os.File, error)    // makes a file for what sources send a second time; nil: Store.Create
	KeepOpen    bool                        // Run goes on for blobs that are added later, and a blob that no source has right does not end it
	History     sources.History             // what sources were like before; may be nil
	Limiter     *segment.Limiter            // for all traffic together
	Limiters    map[string]*segment.Limiter // of one source, by its name; may lack some
	Connections int                         // at the most to one source; 0: segment.DefaultConnections
	SegmentSize int64                       // bytes; 0: 4 MiB
	GiveUpAfter time.Duration               // without a byte from any source
	NoRace      bool                        // fetch nothing twice to save time, as segment.Options.NoRace
	Resolver    string                      // name of the source that resolved the tag; "" if none did
	Corrupt     *verify.Corrupt             // the sources that are known to be corrupt; the transfer adds to it
	Report      Report
}

// Names returns the names of the sources, as state.Open takes them for the transfer's stores.
func (o Options) Names() (names []string) {
	for _, src := range o.Sources {
		names = append(names, src.Name())
	}
	if o.Shared != nil {
		names = append(names, o.Shared.Name())
	}
	return names
}

// Report has the functions that receive what happens in a transfer. They may be
// called from many goroutines; only Stalled and Request may be nil.
type Report struct {
	Search  verify.Report                               // of sources and their bytes
	Trouble func(source string, err error)              // a request failed, and is made again or elsewhere
	Stalled func(silent time.Duration, reasons []error) // no source has sent a byte for so long
	Request func(Request)                               // a request has ended
}

// Request is how one request for bytes of a blob went.
type Request struct {
	Source string
	Blob   digest.Digest
	Range  segment.Range // that was asked for
	Bytes  int64         // that came
	Waited time.Duration // until the answer began; all of Took if none did
	Took   time.Duration
	Err    error // why it failed; nil also if the transfer ended it, because others were faster
}
