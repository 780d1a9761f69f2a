package hostconf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dockerHub is the registry of names without a host.
const dockerHub = "docker.io"

// Host is one host from which an engine pulls the images of a registry.
type Host struct {
	// URL has scheme, host and the path before the repository's name, such as /v2 or
	// /v2/hub. nil: the registry itself, of which the fields below are settings.
	URL *url.URL
	// API is the part of URL's path that is the root of the API, such as /v2.
	API string
	// Strip is the beginning of the repository's name that URL's path replaces:
	// library of library/ubuntu. Usually empty.
	Strip string
	// Last says that the engine asks the host last, in the place of the registry.
	Last bool
	// Namespace says that requests have ?ns=REGISTRY, unless the host is the registry.
	Namespace bool

	// Tags says whether the host may resolve tags.
	Tags Permission
	// TagsOnly leaves the host out for images that are named by digest.
	TagsOnly bool

	// Unverified says that the host's certificate is not checked.
	Unverified bool
	// Plain allows http where the port does not speak TLS.
	Plain bool
	// CA names PEM files with certificates to trust in addition to the system's.
	CA []string
	// Clients are pairs of PEM files: the certificate for the host and its key. The key
	// is "" if it is in the first file.
	Clients [][2]string
	// Header are fields of requests to the host.
	Header http.Header
	// DialTimeout is how long a connection may take to open. 0: not set.
	DialTimeout time.Duration

	Place
}

// Place is where a setting is written.
type Place struct {
	File string // "" if an engine reported it
	Line int    // 0: unknown
	Key  string // such as registry-mirrors; "" if Line says it
}

// String returns FILE:LINE, FILE (KEY), or what an engine reported.
func (p Place) String() string {
	switch {
	case p.File == "":
		return p.Key
	case p.Line > 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.Key != "":
		return fmt.Sprintf("%s (%s)", p.File, p.Key)
	}
	return p.File
}

// Permission is what a file says about something.
type Permission int

const (
	Unsaid  Permission = iota // nothing: it is allowed, unless the host is not verified
	Granted                   // allowed in so many words
	Denied
)

// Answer is what an engine does for the images of a registry.
type Answer struct {
	Hosts []Host
	// Named says that a file names the registry itself, not only all registries.
	Named bool
	// Blocked is where the registry is blocked, if it is.
	Blocked *Place
	// Problems are files that are ignored.
	Problems []error
}

// FileError says why a configuration file is ignored.
type FileError struct {
	Place Place
	Err   error
}

// Error returns one line.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s: %v; segpull ignores the whole file: correct it", e.Place, e.Err)
}

// Unwrap returns the reason.
func (e *FileError) Unwrap() error { return e.Err }

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

var errTooLarge = errors.New("it is larger than 1 MiB")

// read returns the content of a file.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errTooLarge
	}
	return data, err
}

// absent reports whether a file does not exist, or may not be seen by this user: then
// the configuration is that of other users.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR)
}

// exists reports whether a path can be reached.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// relativeTo returns a path that may be relative to a directory.
func relativeTo(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
