package output

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// namesOfStdout are the names of standard output on different systems. A file with such
// a name would replace it for the whole machine.
var namesOfStdout = []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}

// Options say where the archives of a call go.
type Options struct {
	// Path is a file, a directory, or [Stdout]. It is a directory if it exists and is one,
	// ends in a separator, or has to hold several images. "": files in the current
	// directory, named after the images.
	Path   string
	Format archive.Format
	// Images is the number of images of the call.
	Images int
	// Batch makes Path a directory for any number of images, except Stdout.
	Batch bool
	// Elsewhere says that the images go elsewhere: without a Path, they get no archive.
	// Their bytes lie in CacheDir until then.
	Elsewhere bool
	// CacheDir is the directory of a cache. "": segpull in os.UserCacheDir.
	CacheDir string
	// Nothing says that nothing of the images is written on this machine.
	Nothing bool
	// Stdout receives the archive if Path is [Stdout].
	Stdout io.Writer
}

// Places are where the archives of one call go.
type Places struct {
	opts  Options
	dir   string // the directory that Path names; "" if it names none
	parts string // the directory of the part directories of images that get no archive; otherwise ""
}

// usageError is the error of what the user has to write otherwise.
type usageError struct{ error }

// Usage says that.
func (usageError) Usage() bool { return true }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// New checks the options, and creates the directory of images that get no archive. The
// error has the method Usage if standard output cannot hold what they want; otherwise it is
// one of the file system.
func New(opts Options) (*Places, error) {
	if opts.Path != "" && slices.Contains(namesOfStdout, filepath.Clean(opts.Path)) {
		opts.Path = Stdout
	}
	p := &Places{opts: opts}
	if err := p.checkStdout(); err != nil {
		return nil, err
	}
	switch {
	case opts.Nothing:
	case opts.Path == "" && opts.Elsewhere:
		return p, p.prepareParts()
	case opts.intoDir():
		p.dir = opts.Path
	}
	return p, nil
}

// checkStdout refuses what standard output cannot hold.
func (p *Places) checkStdout() error {
	if p.opts.Path != Stdout {
		return nil
	}
	f, isFile := p.opts.Stdout.(*os.File)
	switch {
	case p.opts.Format == archive.OCI || p.opts.Images > 1:
		return usage("standard output can hold only one image, in a format that is a single file: give a directory with --output instead")
	case p.opts.Stdout == nil:
		return usage("output \"-\" needs Options.Stdout to write to: set it")
	case isFile && term.IsTerminal(int(f.Fd())):
		return usage("standard output is a terminal, which cannot display an archive: pipe it, as in segpull -o - … | docker load, or give a file with --output")
	}
	return nil
}

// intoDir reports whether Path names a directory for archives, and not the archive itself.
func (o Options) intoDir() bool {
	switch {
	case o.Path == "" || o.Path == Stdout:
		return false
	case o.Images > 1 || o.Batch:
		return true
	case o.Format == archive.OCI:
		return false // the directory is the image layout
	case strings.HasSuffix(o.Path, string(filepath.Separator)):
		return true
	}
	info, err := os.Stat(o.Path)
	return err == nil && info.IsDir()
}

// prepareParts finds and creates the directory of the part directories of images that get
// no archive.
func (p *Places) prepareParts() error {
	dir := p.opts.CacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("segpull has no place for the image until it is complete: %w; give one with --cache-dir or --output", err)
		}
		dir = filepath.Join(user, "segpull")
	}
	p.parts = filepath.Join(dir, "parts")
	if err := os.MkdirAll(p.parts, 0o700); err != nil {
		return fmt.Errorf("cannot create the directory for the image until it is complete: %w; give another with --cache-dir or --output", err)
	}
	return nil
}

// Create creates the directory for the archives, if Path names one.
func (p *Places) Create() error {
	if p.dir == "" {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return fmt.Errorf("cannot create the output directory: %w; give another with --output", err)
	}
	return nil
}

// ByPlatform reports whether the names of archives have the platform in them.
func (p *Places) ByPlatform() bool { return p.opts.Path == "" || p.dir != "" }

// Plan returns a function for all images of the call. It returns the place of an image,
// named after its reference and its platform, and checks that no other image has it, and
// that it can be written.
func (p *Places) Plan() func(image.Image) (*Place, error) {
	seen := make(map[string]bool)
	return func(img image.Image) (*Place, error) {
		place := p.Of(img)
		switch {
		case seen[place.Work] && place.Path == "":
			return nil, usage("%s: two images have the name %s: name each image once", img.Reference, filepath.Base(place.Work))
		case seen[place.Work]:
			return nil, usage("%s: two images would be written to %s: name each image once", img.Reference, place.Path)
		}
		seen[place.Work] = true
		if p.opts.Nothing {
			return place, nil
		}
		return place, place.check()
	}
}

// Of returns the place of an image, without a check.
func (p *Places) Of(img image.Image) *Place {
	name := img.Reference.FileName(img.Platform)
	place := &Place{Format: p.opts.Format, stdout: p.opts.Stdout}
	if p.parts != "" || p.opts.Nothing {
		place.Work = filepath.Join(p.parts, name)
		return place
	}
	if p.opts.Format != archive.OCI {
		name += ".tar"
	}
	place.Path = filepath.Join(p.dir, name)
	place.Work = place.Path
	switch {
	case p.opts.Path == Stdout:
		place.Path = Stdout
	case p.opts.Path != "" && p.dir == "":
		place.Path, place.Work = p.opts.Path, p.opts.Path
	}
	if p.opts.Format == archive.OCI {
		place.Work = realPath(place.Path)
	}
	return place
}

// realPath returns the absolute path of a layout without links, so that all processes
// that add to it find the same lock, and so that the part directory of "." has a name.
func realPath(dir string) string {
	if name, err := filepath.EvalSymlinks(dir); err == nil {
		dir = name
	}
	if name, err := filepath.Abs(dir); err == nil {
		dir = name
	}
	return filepath.Clean(dir)
}
