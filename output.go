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
	"github.com/segpull/segpull/state"
)

// stdout is the Output that means standard output.
const stdout = "-"

// namesOfStdout are those that systems have for standard output. To make a file
// by such a name would replace it for the whole machine.
var namesOfStdout = []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}

// output is where the archive of one image goes.
type output struct {
	format archive.Format
	path   string // what the user gets to see; "-" for standard output
	work   string // what the part folder stands beside: path, or the folder that it leads to
}

// places are where the archives of one call go.
type places struct {
	opts   Options
	format archive.Format
	folder string // that was named for them; "" if none was
}

// places checks what Output says, and makes the directory that it names for the archives of so many images.
func (o Options) places(format archive.Format, images int) (places, error) {
	if o.Output != "" && slices.Contains(namesOfStdout, filepath.Clean(o.Output)) {
		o.Output = stdout
	}
	if o.Output == stdout && (format == archive.OCI || images > 1) {
		return places{}, usage(errors.New("standard output takes one image, in a format that is one file: name a folder by --output instead"))
	}
	if o.Output == stdout && o.Stdout == nil {
		return places{}, usage(errors.New("output - needs a Stdout to stream to"))
	}
	if f, ok := o.Stdout.(*os.File); ok && o.Output == stdout && term.IsTerminal(int(f.Fd())) {
		return places{}, usage(errors.New("an archive is not for a terminal: send it on, as in segpull -o - … | docker load, or name a file by --output"))
	}
	p := places{opts: o, format: format}
	if o.intoFolder(format, images) {
		p.folder = o.Output
		if err := os.MkdirAll(p.folder, 0o777); err != nil {
			return places{}, fmt.Errorf("make the output folder: %w", err)
		}
	}
	return p, nil
}

// plan chooses the place of each job's archive, named after its reference and its platform, and finds what
// is in the way there.
func (p places) plan(jobs []*job) error {
	seen := make(map[string]bool)
	for _, j := range jobs {
		j.out = p.opts.place(p.folder, p.format, j.image.Reference.FileName(j.image.Platform))
		if seen[j.out.path] {
			return usage(fmt.Errorf("%s: named twice, and both would be written to %s", j.image.Reference, j.out.path))
		}
		seen[j.out.path] = true
		if err := j.out.check(); err != nil {
			return err
		}
	}
	return nil
}

// byPlatform says whether the names of archives have the platform in them.
func (p places) byPlatform() bool { return p.opts.Output == "" || p.folder != "" }

// intoFolder says whether Output names a folder that archives are put into,
// rather than the archive itself.
func (o Options) intoFolder(format archive.Format, images int) bool {
	switch {
	case o.Output == "" || o.Output == stdout:
		return false
	case images > 1:
		return true
	case format == archive.OCI:
		return false // the folder is the image layout
	case strings.HasSuffix(o.Output, string(filepath.Separator)):
		return true
	}
	info, err := os.Stat(o.Output)
	return err == nil && info.IsDir()
}

func (o Options) place(folder string, format archive.Format, name string) output {
	if format != archive.OCI {
		name += ".tar"
	}
	name = filepath.Join(folder, name)
	out := output{format: format, path: name, work: name}
	switch {
	case o.Output == stdout:
		out.path = stdout
	case o.Output != "" && folder == "":
		out.path, out.work = o.Output, o.Output
	}
	if format == archive.OCI {
		out.work = realPath(out.path)
	}
	return out
}

// realPath is the one name of a folder that is added to, so that all who do so find
// the same lock, and that has a place beside it, as "." has not.
func realPath(folder string) string {
	if name, err := filepath.EvalSymlinks(folder); err == nil {
		folder = name
	}
	if name, err := filepath.Abs(folder); err == nil {
		folder = name
	}
	return filepath.Clean(folder)
}

// explain says of an error of the part folder where that is, and what to do.
func (o output) explain(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		if o.path == stdout {
			return fmt.Errorf("nothing can be written to folder %s, which is to hold the image until it is complete: %w; run segpull in another folder", o.folder(), err)
		}
		return fmt.Errorf("nothing can be written to folder %s: %w; name another by --output", o.folder(), err)
	}
	return fmt.Errorf("open the part folder: %w", err)
}

// irreplaceable explains that the last step failed: something that can't be
// replaced (bound there by mount, or immutable) has the output's name.
func (o output) irreplaceable(err error) error {
	_, renaming := errors.AsType[*os.LinkError](err)
	inTheWay := errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EISDIR)
	if !renaming || !inTheWay {
		return err
	}
	return fmt.Errorf("it can't be replaced: %w; remove it and run the same command again, or rename %s and name another by --output: nothing that was fetched is lost",
		err, state.Dir(o.work))
}

// folder is what the part folder stands in, by its full name.
func (o output) folder() string {
	folder := filepath.Dir(o.work)
	if abs, err := filepath.Abs(folder); err == nil {
		return abs
	}
	return folder
}

// check finds out before anything is fetched what would be in the way at the
// end: a device, say, is not to be replaced by an archive.
func (o output) check() error {
	folder := filepath.Dir(filepath.Clean(o.work))
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("folder %s does not exist: make it, or name another by --output", folder)
	}
	if o.format == archive.OCI {
		return o.checkFolder()
	}
	info, err := os.Stat(o.path)
	switch {
	case o.path == stdout:
		return nil
	case leadsToSystem(o.path):
		return usage(fmt.Errorf("%s is a link that the system needs: name a file by --output, or - for standard output", o.path))
	case err != nil: // it is not there
		return nil
	case !info.Mode().IsRegular():
		return usage(fmt.Errorf("%s is no regular file and can't be replaced: name another by --output, or - for standard output", o.path))
	case !state.Replaceable(o.path):
		return fmt.Errorf("%s is another user's, and can't be replaced in a folder where each may replace only what is theirs: name another by --output", o.path)
	}
	return nil
}

// checkFolder is check for a layout.
func (o output) checkFolder() error {
	info, err := os.Lstat(o.work)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the output folder: %w", err)
	case info.Mode().Type() == fs.ModeSymlink:
		return usage(fmt.Errorf("%s is a link that leads to nothing: remove it, or name another by --output", o.path))
	case !info.IsDir():
		return usage(fmt.Errorf("%s is no folder, which format oci is: name another by --output", o.path))
	}
	return archive.CheckDir(o.work)
}

// leadsToSystem reports whether path is a link in /dev, or one that leads through
// /proc to what a process has open: to /dev/stderr, say, by any name.
func leadsToSystem(path string) bool {
	for range 40 { // as many links as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			return false
		}
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return false
		}
		if folder == "/dev" || strings.HasPrefix(folder, "/proc/") {
			return true
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return false
}
