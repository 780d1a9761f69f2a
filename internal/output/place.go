package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/state"
)

// Place is where the archive of one image goes.
type Place struct {
	Format archive.Format
	Path   string // for messages; [Stdout], or "" if the image only goes elsewhere
	Work   string // Path, or the directory that it links to; the part directory is beside it

	stdout io.Writer
	layout *archive.Layout // of the archive, if the part file becomes it; otherwise nil
}

// OnDisk reports whether the archive is a file or a directory.
func (p *Place) OnDisk() bool { return p.Path != "" && p.Path != Stdout }

// Dir returns the absolute path of the directory that contains the part directory.
func (p *Place) Dir() string {
	dir := filepath.Dir(p.Work)
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// Explain adds to an error of the part directory its path and what to do about it.
func (p *Place) Explain(err error) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("cannot open the part directory: %w", err)
	}
	switch p.Path {
	case "":
		return fmt.Errorf("directory %s is not writable: %w; give another with --cache-dir or --output", p.Dir(), err)
	case Stdout:
		return fmt.Errorf("directory %s is not writable, and segpull keeps the image there until it is complete: %w; run segpull in another directory", p.Dir(), err)
	}
	return fmt.Errorf("directory %s is not writable: %w; give another with --output", p.Dir(), err)
}

// check finds, before the pull fetches anything, what would prevent the rename
// at the end: an archive must not replace a device, for example.
func (p *Place) check() error {
	dir := filepath.Dir(filepath.Clean(p.Work))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil || errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("%s is not a directory: give another with --output", dir)
		}
		return fmt.Errorf("directory %s does not exist: create it, or give another with --output", dir)
	}
	switch {
	case !p.OnDisk():
		return nil
	case p.Format == archive.OCI:
		return p.checkDir()
	}
	info, err := os.Stat(p.Path)
	switch {
	case leadsToSystem(p.Path):
		return usage("%s is a link that the system needs, so segpull does not replace it: give a file with --output, or - for standard output", p.Path)
	case err != nil: // it is not there
		return nil
	case !info.Mode().IsRegular():
		return usage("%s is not a regular file, so segpull does not replace it: give a file with --output, or - for standard output", p.Path)
	case !state.Replaceable(p.Path):
		return fmt.Errorf("%s belongs to another user, and its directory is sticky, so only that user can replace it: give another file with --output", p.Path)
	}
	return nil
}

// checkDir does the same for a layout.
func (p *Place) checkDir() error {
	info, err := os.Lstat(p.Work)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the output directory: %w", err)
	case info.Mode().Type() == fs.ModeSymlink:
		return usage("%s is a link to a file that does not exist: remove it, or give another directory with --output", p.Path)
	case !info.IsDir():
		return usage("%s is not a directory, and format oci needs one: give another with --output", p.Path)
	}
	return archive.CheckDir(p.Work)
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
