package segpull_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// TestOutputNames pulls in a directory that has "there/", and checks where the archive
// is afterwards.
func TestOutputNames(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	const name = "registry.example_team_app_1_linux_amd64"
	for what, tc := range map[string]struct {
		output, format, want string
	}{
		"the default":                    {"", "", name + ".tar"},
		"the default of a layout":        {"", "oci", name},
		"a file":                         {"a.tar", "", "a.tar"},
		"a file in a directory":          {"there/a.tar", "", "there/a.tar"},
		"a directory that exists":        {"there", "", "there/" + name + ".tar"},
		"a directory to be made":         {"new/", "", "new/" + name + ".tar"},
		"a deep one to be made":          {"new/and/deep/", "legacy", "new/and/deep/" + name + ".tar"},
		"a layout in a directory":        {"there", "oci", "there"},
		"a layout in a directory, slash": {"new/", "oci", "new"},
		"a path that goes around":        {"there/../b.tar", "", "b.tar"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.Mkdir("there", 0o755); err != nil {
				t.Fatal(err)
			}
			results, err := segpull.Pull(t.Context(), segpull.Options{
				Mirrors: m.URLs, Output: tc.output, Format: tc.format, Platform: "linux/amd64",
			}, ref)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(tc.want); err != nil {
				t.Error(err)
			}
			if got := filepath.Clean(results[0].Path); got != filepath.Clean(tc.want) {
				t.Errorf("says that it is at %s, not %s", got, tc.want)
			}
			left, err := filepath.Glob("*.segpull")
			if err != nil || len(left) > 0 {
				t.Errorf("left %q behind, %v", left, err)
			}
		})
	}
}

func TestInvalidOutputs(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	for what, tc := range map[string]struct {
		opts segpull.Options
		refs []string
		code error
		word string
	}{
		"several images on standard output": {segpull.Options{Output: "-"}, []string{ref, "other:1"}, segpull.ErrUsage, "one image"},
		"a directory on standard output":    {segpull.Options{Output: "-", Format: "oci"}, []string{ref}, segpull.ErrUsage, "--output"},
		"nowhere to stream to":              {segpull.Options{Output: "-"}, []string{ref}, segpull.ErrUsage, "Stdout"},
		"the same image twice":              {segpull.Options{}, []string{ref, ref}, segpull.ErrUsage, "two images would be written to"},
		"a directory that can't be":         {segpull.Options{Output: "file/"}, []string{ref}, nil, "file"},
		"a directory that isn't there":      {segpull.Options{Output: "missing/a.tar"}, []string{ref}, nil, "missing"},
		"a device":                          {segpull.Options{Output: os.DevNull}, []string{ref}, segpull.ErrUsage, "regular file"},
		"a layout that is a file":           {segpull.Options{Output: "file", Format: "oci"}, []string{ref}, segpull.ErrUsage, "is not a directory"},
		"a layout among other files":        {segpull.Options{Output: ".", Format: "oci"}, []string{ref}, nil, `holds "file"`},
		"a layout that is a file, slash":    {segpull.Options{Output: "file/", Format: "oci"}, []string{ref}, segpull.ErrUsage, "is not a directory"},
		"a format of another world":         {segpull.Options{Format: "zip"}, []string{ref}, segpull.ErrUsage, "docker-archive"},
		"a platform of another world":       {segpull.Options{Platform: "linux"}, []string{ref}, segpull.ErrUsage, "linux"},
		"a reference of another world":      {segpull.Options{}, []string{"../../etc/passwd"}, segpull.ErrUsage, "etc/passwd"},
		"a negative number of connections":  {segpull.Options{Connections: -1}, []string{ref}, segpull.ErrUsage, "negative"},
		"no image at all":                   {segpull.Options{}, []string{}, segpull.ErrUsage, "no image"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("file", nil, 0o644); err != nil {
				t.Fatal(err)
			}
			tc.opts.Mirrors = m.URLs
			_, err := segpull.Pull(t.Context(), tc.opts, tc.refs...)
			pulltest.WantError(t, err, tc.code, tc.word)
			pulltest.WantFiles(t, ".", "file")
			if m.Served() > 0 {
				t.Error("something was fetched before")
			}
		})
	}
}

// The pull streams to a file that the system calls standard output; it does not replace
// the file.
func TestNamesOfStandardOutput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are none")
	}
	img := pulltest.ImageOf(1, 4*kib)
	m := pulltest.Serve(t, 1, img)
	for _, name := range []string{"/dev/stdout", "/dev//stdout", "/dev/fd/1", "/proc/self/fd/1"} {
		t.Chdir(t.TempDir())
		var streamed bytes.Buffer
		if r := m.MustPull(t, segpull.Options{Output: name, Stdout: &streamed}); r.Path != "-" || streamed.Len() == 0 {
			t.Errorf("%s: path %q, and %d bytes were streamed", name, r.Path, streamed.Len())
		}
		pulltest.WantFiles(t, ".")
	}
}

// A link to an open file of a process, which may be a plain file, belongs to the system.
func TestLinksOfTheSystemAreNotReplaced(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "open"))
	pulltest.Must(t, err)
	defer f.Close()
	pulltest.Must(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), filepath.Join(dir, "first")))
	pulltest.Must(t, os.Symlink("first", filepath.Join(dir, "second")))
	for _, name := range []string{"first", "second"} {
		_, err := m.Pull(t, segpull.Options{Output: filepath.Join(dir, name)})
		pulltest.WantError(t, err, segpull.ErrUsage, name, "--output", "- for standard output")
	}
	pulltest.WantFiles(t, dir, "first", "open", "second")
}

func TestSeveralImagesShareTheirLayers(t *testing.T) {
	t.Parallel()
	one := pulltest.ImageOf(1, 2*mib)
	// Another image of the same layer, and one more layer.
	two := registrytest.NewImage(registrytest.ImageOptions{Seed: 1, Layers: []int64{2 * mib, 300 * kib}, Platform: "linux/amd64"})
	m := pulltest.Serve(t, 2, one)
	m.Servers[0].Push("team/other", "2", two)
	if one.Layers[0].Digest != two.Layers[0].Digest {
		t.Fatal("the images share no layer")
	}
	out := filepath.Join(t.TempDir(), "images")
	rec := &pulltest.Recorder{}
	results, err := m.Pull(t, segpull.Options{Output: out, Observer: rec}, ref, "registry.example/team/other:2")
	if err != nil {
		t.Fatal(err)
	}
	pulltest.WantFiles(t, out, "registry.example_team_app_1_linux_amd64.tar", "registry.example_team_other_2_linux_amd64.tar")
	if shared := one.Layers[0]; m.SentOf(shared) > 2*shared.Size {
		t.Errorf("%d bytes of a layer of %d were sent", m.SentOf(shared), shared.Size)
	}
	pulltest.CheckOCI(t, pulltest.Contents(t, results[0].Path), one)
	pulltest.CheckOCI(t, pulltest.Contents(t, results[1].Path), two)
	if results[1].Fetched > mib {
		t.Errorf("the second image says that it fetched %d bytes", results[1].Fetched)
	}
	if n := len(pulltest.EventsOf[segpull.Finished](rec)); n != 2 {
		t.Errorf("%d images finished", n)
	}
}

func TestALayoutIsAddedTo(t *testing.T) {
	t.Parallel()
	one, two := pulltest.ImageOf(1, 300*kib), pulltest.ImageOf(2, 300*kib)
	m := pulltest.Serve(t, 1, one)
	m.Servers[0].Push(repo, "2", two)
	out := filepath.Join(t.TempDir(), "layout")
	for _, tag := range []string{"1", "2"} {
		if _, err := m.Pull(t, segpull.Options{Output: out, Format: "oci"}, "registry.example/team/app:"+tag); err != nil {
			t.Fatal(err)
		}
	}
	f := pulltest.Contents(t, out)
	for _, b := range []registrytest.Blob{one.Manifest, one.Layers[0], two.Manifest, two.Layers[0]} {
		pulltest.WantDigest(t, f, pulltest.BlobPath(b.Digest), b.Digest)
	}
}

// A layout has one part directory, and so one lock, whichever of its names the pull gets.
func TestALayoutByItsOtherName(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib))
	t.Chdir(t.TempDir())
	pulltest.Must(t, os.Mkdir("layout", 0o755))
	pulltest.Must(t, os.Symlink("layout", "link"))
	var second error
	rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
		if _, ok := e.(segpull.Resolved); ok {
			_, second = m.Pull(t, segpull.Options{Output: "link", Format: "oci"})
		}
	}}
	r := m.MustPull(t, segpull.Options{Output: "layout/", Format: "oci", Observer: rec})
	pulltest.WantError(t, second, nil, "layout.segpull", "another segpull uses")
	if r.Path != "layout/" {
		t.Errorf("it is said to be at %s", r.Path)
	}
	pulltest.Must(t, os.Symlink("nowhere", "dangling"))
	_, err := m.Pull(t, segpull.Options{Output: "dangling", Format: "oci"})
	pulltest.WantError(t, err, segpull.ErrUsage, "dangling", "a link to a file that does not exist")
	pulltest.WantFiles(t, ".", "dangling", "layout", "link")
	pulltest.Must(t, os.Mkdir("empty", 0o755))
	t.Chdir("empty")
	m.MustPull(t, segpull.Options{Output: ".", Format: "oci"})
	pulltest.WantFiles(t, ".", "blobs", "index.json", "oci-layout")
	pulltest.WantFiles(t, "..", "dangling", "empty", "layout", "link")
}

func TestAnOutputThatExistsIsReplacedOnlyBySuccess(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 300*kib)
	m := pulltest.Serve(t, 1, img)
	out := filepath.Join(t.TempDir(), "app.tar")
	old := []byte("yesterday's")
	if err := os.WriteFile(out, old, 0o644); err != nil {
		t.Fatal(err)
	}
	m.Servers[0].Misbehave(registrytest.Flip(100, 101))
	_, err := m.Pull(t, segpull.Options{Output: out})
	pulltest.WantError(t, err, segpull.ErrMismatch)
	if !bytes.Equal(pulltest.ReadFile(t, out), old) {
		t.Error("the old archive is gone")
	}
	m.Servers[0].Misbehave()
	m.MustPull(t, segpull.Options{Output: out})
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
}
