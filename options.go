package segpull

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
)

// Options says how to pull. The zero value pulls from the image's own registry
// into the current directory.
type Options struct {
	// Mirrors are the sources to use, and no others: names of presets (see
	// README.md), names from Config, registries, or http(s) URLs. Their order
	// decides which one resolves a tag. Empty: the mirrors that Config has for
	// the image's registry, then the registry itself.
	Mirrors []string
	// Config is the user's configuration, such as sources.LoadConfig returns.
	// Pull uses Mirrors, Mirror, InsecureRegistries and, with CacheDir, Cache of it,
	// and ignores the fields that are options as well.
	Config sources.Config
	// Authfile is the only file to read logins from. Empty: the files of docker
	// and podman, see docs/configuration.md.
	Authfile string
	// Output is a file, a directory (it exists, ends in a separator, or the call
	// has several images), or "-" or /dev/stdout for Stdout. For one image in
	// format "oci" it is the image layout itself. Empty:
	// NAME_TAG_OS_ARCH[_VARIANT].tar in the current directory, without .tar for
	// "oci"; with Load or To, no output.
	Output string
	// Format is "docker-archive", "legacy", "oci" or "oci-archive", see package
	// archive. Empty: "docker-archive".
	Format string
	// Platform is OS/ARCH[/VARIANT], such as "linux/arm/v7". Empty: linux on this
	// machine's architecture.
	Platform string
	// Platforms are the platforms of single images, one for each reference of the
	// call. Empty, or an empty one: Platform.
	Platforms []string
	// Batch says that the references are a list of any length: an image that fails
	// does not stop the others, and Output is a directory even for one image,
	// except "-". false: the call ends at the first error.
	Batch bool
	// AllPlatforms keeps the index with all that it lists, for the formats "oci" and
	// "oci-archive", and for To. Platform and Load must be empty then. An image without
	// an index is pulled as it is.
	AllPlatforms bool
	// Name is the name of the image in the archive, as NAME[:TAG]. Without a tag
	// it gets the tag of the reference, or else latest. A call with several
	// images cannot have a Name. Empty: the reference without its digest.
	Name string
	// Load is the container engine on this machine that gets the images, by its own
	// command: "docker", "nerdctl", "podman", "containerd", or "auto" for the first of
	// these that answers. It gets them in the format "docker-archive", or "legacy" if
	// Format is that; podman gets an OCI layout. An engine that does not answer is an
	// error before the first request. With Output, the images go there as well.
	// Otherwise their bytes lie in CacheDir, or in segpull/parts in os.UserCacheDir,
	// until the engine has them. Empty: no engine.
	Load string
	// To is where to push the images: REGISTRY/REPOSITORY[:TAG] for one image, or
	// REGISTRY/[PREFIX/] for any number, which are PREFIX/library/NAME:TAG there. Without
	// a tag, an image keeps its own. The manifest keeps its digest. Pull asks for no blob
	// that the registry has, and pushes each as soon as it is verified. Where the bytes
	// lie is as for Load, and so is Output. Empty: no registry.
	To string
	// Limits are the rate limits, such as NewLimits(2 << 20). They may change
	// while the pull runs, and several calls may share them. nil: no limits
	// except those that Config has for mirrors.
	Limits *Limits
	// Connections is the most connections to one mirror. The pull opens only as
	// many as make it faster. 0: 32.
	Connections int
	// SegmentSize is the number of bytes of a request, unless a mirror serves
	// more or fewer bytes faster. 0: 4 MiB.
	SegmentSize int64
	// GiveUpAfter is how long the pull continues without a byte from any source.
	// 0: 5 minutes.
	GiveUpAfter time.Duration
	// NoRace makes no request a second time to save time, for users who pay for
	// each byte: the pull may take longer, and receives less. It still fetches what
	// a repair of wrong bytes needs. false: up to 2 % of the bytes come twice.
	NoRace bool
	// CacheDir is the directory of a cache of blobs, see package cache, which other
	// pulls may use at the same time. The pull takes from it what it has, fetches the
	// rest into it, and writes the output when it has all. Empty: no cache. With
	// Config.Cache, what it lacks is looked for in that bucket before the mirrors are asked,
	// and what they sent is put there: Pull ends when that is done.
	CacheDir string
	// CacheSize is the number of bytes above which the cache evicts the images that
	// were least recently used. 0: 20 GiB.
	CacheSize int64
	// CacheOnly fetches the images into CacheDir, and writes them nowhere else: Output,
	// Name, Load and To must be empty. Format does not matter.
	CacheOnly bool
	// Server is the http(s) URL of a running [Server], or of a proxy before several, or the
	// name of a mirror in Config that is one: it
	// fetches the images into its cache, from its own mirrors, and within its own limits.
	// Pull waits until the server has verified every blob, and receives and writes almost
	// nothing itself. Output, Name, Load, To, CacheDir and Mirrors must be empty. Format
	// and Limits do not matter. Empty: Pull fetches.
	Server string
	// History is the file in which pulls record the rates and faults of mirrors,
	// such as sources.HistoryPath. Empty: the pull neither reads nor records them.
	History string
	// Stdout receives the archive if Output is "-". It must not be a terminal.
	Stdout io.Writer
	// Observer receives the events of the pull. nil: no events.
	Observer Observer
}

// Limits are rate limits in bytes a second: one for all traffic together, and
// one for each mirror. All of them hold at the same time, from the first byte on.
// Their methods Set and SetMirror change them at once, also for pulls that run.
type Limits = segment.Limits

// NewLimits returns a limit for all traffic together, in bytes a second; 0 or
// less is no limit. A mirror has the limit that Options.Config gives it, if any,
// until SetMirror changes it.
func NewLimits(bytesPerSecond int64) *Limits { return segment.NewLimits(bytesPerSecond) }

// Formats returns the names for Options.Format, the default first.
func Formats() []string { return archive.Formats() }

// check refuses what options exclude of each other, and what is out of range.
func (o Options) check(format archive.Format) error {
	return errors.Join(o.checkLoad(), o.checkAllPlatforms(format), o.checkPlace(), o.checkServer(), o.checkNumbers())
}

// checkLoad refuses an unknown engine.
func (o Options) checkLoad() error {
	if o.Load == "" || engine.IsName(o.Load) {
		return nil
	}
	return fmt.Errorf("engine %q is unknown; use one of %s", o.Load, strings.Join(Engines(), ", "))
}

// checkNumbers refuses what is below 0.
func (o Options) checkNumbers() error {
	switch {
	case o.Connections < 0 || o.SegmentSize < 0 || o.GiveUpAfter < 0:
		return errors.New("neither Connections nor SegmentSize nor GiveUpAfter may be negative")
	case o.CacheSize < 0:
		return errors.New("CacheSize must not be negative")
	}
	return nil
}

// checkAllPlatforms refuses what AllPlatforms excludes.
func (o Options) checkAllPlatforms(format archive.Format) error {
	onePlatform := format == archive.DockerArchive || format == archive.Legacy
	switch {
	case !o.AllPlatforms:
	case o.Platform != "" || strings.Join(o.Platforms, "") != "":
		return errors.New("all platforms and one platform exclude each other: give --all-platforms or --platform")
	case o.Load != "":
		return errors.New("an engine gets one platform: leave out --all-platforms or --load")
	case o.written() && onePlatform && (o.Output != "" || o.To == ""):
		return fmt.Errorf("format %s holds one platform: give --format oci or oci-archive with --all-platforms, or --to", format)
	}
	return nil
}

// written reports whether the image is written somewhere, or sent there.
func (o Options) written() bool { return !o.CacheOnly && o.Server == "" }

// checkPlace refuses what CacheOnly and Server exclude.
func (o Options) checkPlace() error {
	switch {
	case o.written():
	case o.CacheOnly && o.Server != "":
		return errors.New("CacheOnly and Server exclude each other: give one of them")
	case o.Output != "" || o.Name != "" || o.Load != "" || o.To != "":
		return errors.New("with CacheOnly and Server, an image goes nowhere else: leave out Output, Name, Load and To")
	case o.CacheOnly && o.CacheDir == "":
		return errors.New("CacheOnly needs a CacheDir")
	case o.Server != "" && (o.CacheDir != "" || len(o.Mirrors) > 0):
		return errors.New("a server has mirrors and a cache of its own: leave out Mirrors and CacheDir")
	}
	return nil
}

// checkServer refuses a Server that is neither a URL nor configured.
func (o Options) checkServer() error {
	if _, configured := o.Config.Mirror[o.Server]; configured || o.Server == "" || strings.Contains(o.Server, "://") {
		return nil
	}
	return fmt.Errorf("the server %q is neither the name of a mirror of the configuration nor http(s)://host[:port]", o.Server)
}

// serverConfig is the configuration for requests to a server: a mirror with the name of
// the server that serves all registries. opts.Config may have a table for it, as for any
// mirror.
func (o Options) serverConfig() (config sources.Config, names []string) {
	config, name := o.Config, o.Server
	mirror, configured := config.Mirror[name]
	if !configured {
		mirror.URL = name
		_, name, _ = strings.Cut(name, "://")
		name = strings.TrimRight(name, "/")
	}
	yes := true
	mirror.NS, mirror.Tags, mirror.Registries = &yes, &yes, []string{"*"}
	config.Mirror = maps.Clone(config.Mirror)
	if config.Mirror == nil {
		config.Mirror = make(map[string]sources.Mirror)
	}
	config.Mirror[name] = mirror
	return config, []string{name}
}

// Result is one image that was pulled.
type Result struct {
	Reference    string        `json:"reference"`        // as in Resolved
	Digest       string        `json:"digest"`           // of the index or manifest that the reference names
	ImageID      string        `json:"image_id"`         // digest of the image's config, which docker lists as the image's ID; "" for all platforms
	Path         string        `json:"path"`             // of the archive; "-" is Options.Stdout; "" if none was asked for
	Delivered    []Delivery    `json:"delivered"`        // the engine, the registry or the server that has the image now
	Platform     string        `json:"platform"`         // OS/ARCH[/VARIANT], or "all"
	Size         int64         `json:"size"`             // bytes of all blobs, each digest once
	Fetched      int64         `json:"fetched"`          // bytes of blobs that sources served in this call, without a config that was read for its platform
	FetchedTwice int64         `json:"fetched_twice"`    // of Fetched, bytes that the image did not need: they were there already, or were fetched again later
	Resumed      int64         `json:"resumed"`          // bytes that were on disk before this call or in the registry to push to, or that another call fetched into the cache
	UpToDate     bool          `json:"up_to_date"`       // the archive existed, complete and right, and the pull did not change it; or the registry to push to had the image
	Duration     Duration      `json:"duration_seconds"` // of this image's pull
	Sources      []SourceShare `json:"sources"`          // the bytes of each source
	Corrupt      []string      `json:"corrupt"`          // names of sources that served wrong bytes, of this or an earlier image of the call
}

// Delivery is an image in an engine, a registry or a server.
type Delivery struct {
	To     string `json:"to"`     // the engine, such as "docker", the registry, or the name of the server
	Name   string `json:"name"`   // of the image there; the ID in an engine, where it has none
	Digest string `json:"digest"` // of the manifest
}

// InRegistry reports whether To is a registry: it is part of the name there.
func (d Delivery) InRegistry() bool { return strings.HasPrefix(d.Name, d.To+"/") }

// SourceShare is how many bytes of the image one source served in this call.
type SourceShare struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}
