package sources

import (
	"fmt"
	"strings"
	"time"
)

// Set is the sources of one registry's images. It implements image.Fetcher and
// is safe for use by several goroutines.
type Set struct {
	// Trouble is called for each source that fails or is silent while Fetch asks
	// for a manifest. Set it before; it may be called by several goroutines.
	Trouble func(source string, err error)
	// Waiting is called with the sources that were asked and are silent when Fetch
	// has waited for 2 s. As Trouble.
	Waiting func(sources []string)
	// Warn gets what the user should know, in one line. As Trouble.
	Warn func(message string)
	// Stalled is called when Fetch has waited for 10 s, with the reason of each
	// source that was asked. As Trouble.
	Stalled func(silent time.Duration, reasons []error)
	// GiveUpAfter is how long Fetch waits for sources that are silent. 0: as
	// long as each may take.
	GiveUpAfter time.Duration

	sources []*Source
	logins  *Logins
	tags    tagStates
}

// New returns the sources that names stand for, in that order: presets, names
// of [mirror.NAME] tables, registries, or URLs. Without names they are the
// mirrors that the configuration has for the registry, then the registry
// itself. The errors in the slice are for the user: about sources that
// were asked for and cannot be used, and of those whose certificates are not
// checked. If no source is left, or registry is invalid, the error is a [*UsageError] with them.
func New(cfg Config, logins *Logins, names []string, registry string) (*Set, []error, error) {
	if !isRegistry(canonical(registry)) {
		return nil, nil, &UsageError{registry, []error{noRegistry(registry)}}
	}
	registry = canonical(registry)
	endpoints, reported := naming{cfg, registry}.choose(names)
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
	return s, reported, nil
}

func quietSet(logins *Logins) *Set {
	return &Set{
		Trouble: func(string, error) {}, Waiting: func([]string) {}, Warn: func(string) {},
		Stalled: func(time.Duration, []error) {}, logins: logins,
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

// SetWindow limits how many unread bytes later connections receive, as a rate
// limit needs; 0: the system decides.
func (s *Set) SetWindow(bytes int) {
	for _, source := range s.sources {
		source.client.SetWindow(bytes)
	}
}

// Close closes idle connections.
func (s *Set) Close() {
	for _, source := range s.sources {
		source.client.Close()
	}
}
