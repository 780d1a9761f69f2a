package segpull

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/state"
)

// stdout is the Output that means standard output.
const stdout = "-"

// namesOfStdout are the names of standard output on different systems. A file with such
// a name would replace it for the whole machine.
var namesOfStdout = []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}

// output is where the archive of one image goes.
type output struct {
	format archive.Format
	path   string // for messages; "-" is standard output, "" none: the image only goes elsewhere
	work   string // path, or the directory that it links to; the part directory is beside it
}

// onDisk reports whether the archive is a file or a directory.
func (o output) onDisk() bool { return o.path != "" && o.path != stdout }

// places are where the archives of one call go.
type places struct {
	opts   Options
	format archive.Format
	dir    string // the directory that Output names; "" if it names none
	parts  string // the directory of the part directories if there is no output; otherwise ""
}

// places checks Output.
func (o Options) places(format archive.Format, images int) (places, error) {
	if o.Output != "" && slices.Contains(namesOfStdout, filepath.Clean(o.Output)) {
		o.Output = stdout
	}
	if o.Output == stdout && (format == archive.OCI || images > 1) {
		return places{}, usage(errors.New("standard output can hold only one image, in a format that is a single file: give a directory with --output instead"))
	}
	if o.Output == stdout && o.Stdout == nil {
		return places{}, usage(errors.New("output \"-\" needs Options.Stdout to write to: set it"))
	}
	if f, ok := o.Stdout.(*os.File); ok && o.Output == stdout && term.IsTerminal(int(f.Fd())) {
		return places{}, usage(errors.New("standard output is a terminal, which cannot display an archive: pipe it, as in segpull -o - … | docker load, or give a file with --output"))
	}
	p := places{opts: o, format: format}
	if o.Server != "" {
		return p, nil
	}
	if o.Output == "" && (o.Load != "" || o.To != "" || o.CacheOnly) {
		return p, p.prepareParts()
	}
	if o.intoDir(format, images) {
		p.dir = o.Output
	}
	return p, nil
}

// create creates the directory for the archives, if Output names one.
func (p places) create() error {
	if p.dir == "" {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return fmt.Errorf("cannot create the output directory: %w; give another with --output", err)
	}
	return nil
}

// plan returns a function for all jobs of a call. It chooses the path of a job's archive, named after its
// reference and its platform, and checks that it can be written.
func (p places) plan() func(*job) error {
	seen := make(map[string]bool)
	return func(j *job) error {
		j.out = p.of(j.image)
		if seen[j.out.work] {
			return usage(p.twice(j))
		}
		seen[j.out.work] = true
		if p.opts.Server != "" {
			return nil
		}
		return j.out.check()
	}
}

// of returns where the archive of an image goes.
func (p places) of(img image.Image) output {
	return p.place(img.Reference.FileName(img.Platform))
}

// twice is the error of a job with the place of another.
func (p places) twice(j *job) error {
	if j.out.path == "" {
		return fmt.Errorf("%s: two images have the name %s: name each image once", j.image.Reference, filepath.Base(j.out.work))
	}
	return fmt.Errorf("%s: two images would be written to %s: name each image once", j.image.Reference, j.out.path)
}

// byPlatform reports whether the names of archives have the platform in them.
func (p places) byPlatform() bool { return p.opts.Output == "" || p.dir != "" }

// intoDir reports whether Output names a directory for archives, and not the archive
// itself.
func (o Options) intoDir(format archive.Format, images int) bool {
	switch {
	case o.Output == "" || o.Output == stdout:
		return false
	case images > 1 || o.Batch:
		return true
	case format == archive.OCI:
		return false // the directory is the image layout
	case strings.HasSuffix(o.Output, string(filepath.Separator)):
		return true
	}
	info, err := os.Stat(o.Output)
	return err == nil && info.IsDir()
}

// prepareParts finds and creates the directory of the part directories of images without an output.
func (p *places) prepareParts() error {
	if p.opts.CacheDir != "" {
		p.parts = filepath.Join(p.opts.CacheDir, "parts")
	} else {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("segpull has no place for the image until it is complete: %w; give one with --cache-dir or --output", err)
		}
		p.parts = filepath.Join(dir, "segpull", "parts")
	}
	if err := os.MkdirAll(p.parts, 0o700); err != nil {
		return fmt.Errorf("cannot create the directory for the image until it is complete: %w; give another with --cache-dir or --output", err)
	}
	return nil
}

// place returns the output for an image with a file name, which has no extension.
func (p places) place(name string) output {
	if p.parts != "" || p.opts.Server != "" {
		return output{format: p.format, work: filepath.Join(p.parts, name)}
	}
	if p.format != archive.OCI {
		name += ".tar"
	}
	name = filepath.Join(p.dir, name)
	out := output{format: p.format, path: name, work: name}
	switch {
	case p.opts.Output == stdout:
		out.path = stdout
	case p.opts.Output != "" && p.dir == "":
		out.path, out.work = p.opts.Output, p.opts.Output
	}
	if p.format == archive.OCI {
		out.work = realPath(out.path)
	}
	return out
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

// explain adds to an error of the part directory its path and what to do about it.
func (o output) explain(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		if o.path == "" {
			return fmt.Errorf("directory %s is not writable: %w; give another with --cache-dir or --output", o.dir(), err)
		}
		if o.path == stdout {
			return fmt.Errorf("directory %s is not writable, and segpull keeps the image there until it is complete: %w; run segpull in another directory", o.dir(), err)
		}
		return fmt.Errorf("directory %s is not writable: %w; give another with --output", o.dir(), err)
	}
	return fmt.Errorf("cannot open the part directory: %w", err)
}

// irreplaceable explains why the last step failed: the file with the output's name
// cannot be replaced (a bind mount, or immutable).
func (o output) irreplaceable(err error) error {
	_, renaming := errors.AsType[*os.LinkError](err)
	inTheWay := errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EISDIR)
	if !renaming || !inTheWay {
		return err
	}
	return fmt.Errorf("cannot replace it: %w; remove it and run the same command again, or rename %s and give another output with --output: segpull keeps what it fetched",
		err, state.Dir(o.work))
}

// dir returns the absolute path of the directory that contains the part directory.
func (o output) dir() string {
	dir := filepath.Dir(o.work)
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// check finds, before the pull fetches anything, what would prevent the rename
// at the end: an archive must not replace a device, for example.
func (o output) check() error {
	dir := filepath.Dir(filepath.Clean(o.work))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil || errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("%s is not a directory: give another with --output", dir)
		}
		return fmt.Errorf("directory %s does not exist: create it, or give another with --output", dir)
	}
	switch {
	case !o.onDisk():
		return nil
	case o.format == archive.OCI:
		return o.checkDir()
	}
	info, err := os.Stat(o.path)
	switch {
	case leadsToSystem(o.path):
		return usage(fmt.Errorf("%s is a link that the system needs, so segpull does not replace it: give a file with --output, or - for standard output", o.path))
	case err != nil: // it is not there
		return nil
	case !info.Mode().IsRegular():
		return usage(fmt.Errorf("%s is not a regular file, so segpull does not replace it: give a file with --output, or - for standard output", o.path))
	case !state.Replaceable(o.path):
		return fmt.Errorf("%s belongs to another user, and its directory is sticky, so only that user can replace it: give another file with --output", o.path)
	}
	return nil
}

// checkDir does the same for a layout.
func (o output) checkDir() error {
	info, err := os.Lstat(o.work)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the output directory: %w", err)
	case info.Mode().Type() == fs.ModeSymlink:
		return usage(fmt.Errorf("%s is a link to a file that does not exist: remove it, or give another directory with --output", o.path))
	case !info.IsDir():
		return usage(fmt.Errorf("%s is not a directory, and format oci needs one: give another with --output", o.path))
	}
	return archive.CheckDir(o.work)
}

// leadsToSystem reports whether path is a link in /dev, or one that leads through
// /proc to an open file of a process: to /dev/stderr, for example, by any name.
func leadsToSystem(path string) bool {
	for range 40 { // as many links as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			return false
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return false
		}
		if dir == "/dev" || strings.HasPrefix(dir, "/proc/") {
			return true
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return false
}
