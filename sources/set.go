package sources

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/credentials"
)

// Set has the sources for the images of one registry. It implements image.Fetcher
// and is safe for concurrent use. Set the fields before the first Fetch; several
// goroutines may call the functions at the same time.
type Set struct {
	// Trouble reports a source that failed, or did not answer within 0.8 s, while
	// Fetch or Blob asks it.
	Trouble func(source string, err error)
	// Waiting reports the names of the sources that Fetch or Blob has asked for an
	// image and that have not answered, after 2 s.
	Waiting func(ref image.Reference, sources []string)
	// Silent reports a source for which the answer of another to a tag has waited until
	// 5 s were over.
	Silent func(source string, at time.Time)
	// Warn reports one line that the user should know.
	Warn func(message string)
	// Stalled reports, after 10 s, why Fetch or Blob has no answer: one reason for
	// each source that it has asked.
	Stalled func(ref image.Reference, silent time.Duration, reasons []error)
	// GiveUpAfter is how long Fetch and Blob wait for silent sources after they
	// have asked the last one. 0: no limit beyond that of each request.
	GiveUpAfter time.Duration

	sources []*Source
	logins  *Logins
	tags    tagStates
	warming sync.WaitGroup

	mu    sync.Mutex           // guards what follows
	stops []context.CancelFunc // of what is warming
}

// Images are the images that sources are for. Only the files of engines have different
// sources for some repositories of a registry, and for images that are named by digest.
type Images struct {
	Registry   string // host[:port], such as docker.io
	Repository string // such as library/ubuntu; "": any
	ByDigest   bool   // they are named by digest
}

// New returns a set of the sources that names mean, in that order: presets, names
// of [mirror.NAME] tables, registries (host or host:port), or URLs. Without names
// the set has the mirrors that cfg and cfg.Engines have for the images, then the registry
// itself.
//
// The errors in the slice are warnings for the user, most of them *[MirrorError]:
// about sources that are not usable, and about those whose certificates are not
// checked. If no source is left, or the registry is invalid or blocked, the error is a
// *[UsageError] that has them.
func New(cfg Config, logins *Logins, names []string, images Images) (*Set, []error, error) {
	return naming{cfg: cfg, images: images}.set(logins, names)
}

func (n naming) set(logins *Logins, names []string) (*Set, []error, error) {
	registry := credentials.Canonical(n.images.Registry)
	if !isRegistry(registry) {
		return nil, nil, &UsageError{n.images.Registry, []error{noRegistry(n.images.Registry)}}
	}
	n.images.Registry = registry
	endpoints, reported, err := n.choose(names)
	if err != nil {
		return nil, nil, &UsageError{registry, []error{err}}
	}
	s := quietSet(logins)
	for _, e := range endpoints {
		source, err := e.open(registry, logins, func(message string) { s.Warn(message) })
		if err != nil {
			reported = append(reported, err)
			continue
		}
		if !e.verified() {
			reported = append(reported, e.warning())
		}
		s.sources = append(s.sources, source)
	}
	if len(s.sources) == 0 {
		return nil, nil, &UsageError{registry, reported}
	}
	return s, n.cfg.Engines.untold(reported), nil
}

func quietSet(logins *Logins) *Set {
	return &Set{
		Trouble: func(string, error) {}, Waiting: func(image.Reference, []string) {}, Warn: func(string) {},
		Silent:  func(string, time.Time) {},
		Stalled: func(image.Reference, time.Duration, []error) {}, logins: logins,
	}
}

// noRegistry says why the name of a registry is invalid. References take the first part of
// UPPER/x for a host, as Docker does, since no repository may be called so.
func noRegistry(name string) error {
	if name != strings.ToLower(name) {
		return fmt.Errorf("%q has upper-case letters, which are invalid in the name of a repository, and neither dot nor port, which a host needs; write it in lower case", name)
	}
	return fmt.Errorf("%q is not a host: it has neither dot nor port", name)
}

// Sources returns the sources in the order in which they were named.
func (s *Set) Sources() []*Source { return s.sources }

// SetWindow sets how many bytes each later connection receives before they are
// read (SO_RCVBUF). Under a rate limit, a small window keeps what is in transit
// small. 0: the system decides.
func (s *Set) SetWindow(bytes int) {
	for _, source := range s.sources {
		source.client.SetWindow(bytes)
	}
}

// Close closes the idle connections of all sources, and those that Warm opened and
// no request took.
func (s *Set) Close() {
	s.mu.Lock()
	for _, stop := range s.stops {
		stop()
	}
	s.mu.Unlock()
	s.warming.Wait()
	for _, source := range s.sources {
		source.client.Close()
	}
}
