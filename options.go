package segpull

import (
	"io"
	"time"

	"github.com/segpull/segpull/sources"
)

// Options says how to pull. The zero value pulls from the configured mirrors
// and the origin into the current directory.
type Options struct {
	// Mirrors are the sources to use, and only these: names of presets, names
	// from Config, registries, or http(s) URLs. Empty: the mirrors configured
	// for the image's registry, then the registry itself.
	Mirrors []string
	// Config is the user's configuration file; only its mirrors are read here.
	Config sources.Config
	// Authfile is the only file to read logins from. Empty: those of docker
	// and podman.
	Authfile string
	// Output is a file, a directory that exists or ends in a separator, or "-"
	// or /dev/stdout for Stdout. Empty: NAME_TAG_OS_ARCH.tar in the current directory.
	Output string
	// Format is "docker-archive" (the default), "legacy", "oci" or
	// "oci-archive".
	Format string
	// Platform is OS/ARCH[/VARIANT]. Empty: linux on this machine's
	// architecture.
	Platform string
	// Name is the name of the image in the archive, as NAME[:TAG]; without a
	// tag, it has that of the image, else latest. It is for one image only. Empty:
	// the reference, without its digest.
	Name string
	// Limits are the rate limits, such as NewLimits(2 << 20). They may change
	// while the pull runs, and several calls may share them. nil: no limits
	// except those that Config has for mirrors.
	Limits *Limits
	// Connections is the most connections to one mirror. 0: 32, of which the
	// pull opens only as many as make it faster.
	Connections int
	// SegmentSize is the number of bytes per request, where the mirror gives
	// no reason for more or less. 0: 4 MiB.
	SegmentSize int64
	// GiveUpAfter is how long the pull continues without progress from any source.
	// 0: 5 minutes.
	GiveUpAfter time.Duration
	// History is the file in which pulls record the rates and faults of mirrors,
	// such as sources.HistoryPath. Empty: the pull neither reads nor records them.
	History string
	// Stdout receives the archive if Output is "-".
	Stdout io.Writer
	// Observer receives the events of the pull. nil: the pull drops them.
	Observer Observer
}

// Result is one image that was pulled.
type Result struct {
	Reference string        `json:"reference"`        // as in Resolved
	Digest    string        `json:"digest"`           // of the index or manifest that the reference names
	ImageID   string        `json:"image_id"`         // digest of the image's config, which docker lists as the image's ID
	Path      string        `json:"path"`             // of the archive; "-" is Options.Stdout
	Platform  string        `json:"platform"`         // OS/ARCH[/VARIANT]
	Size      int64         `json:"size"`             // bytes of all blobs, each digest once
	Fetched   int64         `json:"fetched"`          // bytes of blobs that sources served in this call, without a config that was read for its platform
	Resumed   int64         `json:"resumed"`          // bytes that were on disk before this call
	UpToDate  bool          `json:"up_to_date"`       // the archive existed, complete and right; the pull did not change it
	Duration  Duration      `json:"duration_seconds"` // of this image's pull
	Sources   []SourceShare `json:"sources"`          // the bytes of each source
	Corrupt   []string      `json:"corrupt"`          // names of sources that served wrong bytes, of this or an earlier image of the call
}

// SourceShare is how many bytes of the image one source served in this call.
type SourceShare struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}
