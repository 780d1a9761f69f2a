package output

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
)

// ubuntu is an image whose archives are called ubuntu_22.04_linux_amd64.
func ubuntu(t *testing.T) image.Image {
	ref, err := image.ParseReference("ubuntu:22.04")
	if err != nil {
		t.Fatal(err)
	}
	return image.Image{Reference: ref, Platform: image.Platform{OS: "linux", Architecture: "amd64"}}
}

func isUsage(err error) bool {
	var e interface{ Usage() bool }
	return errors.As(err, &e) && e.Usage()
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "user"))
	if err := os.Mkdir("there", 0o700); err != nil {
		t.Fatal(err)
	}
	const name = "ubuntu_22.04_linux_amd64"
	for what, test := range map[string]struct {
		opts       Options
		path, work string
		byPlatform bool
	}{
		"no path":                         {Options{}, name + ".tar", name + ".tar", true},
		"a file":                          {Options{Path: "u.tar"}, "u.tar", "u.tar", false},
		"a directory that exists":         {Options{Path: "there"}, "there/" + name + ".tar", "there/" + name + ".tar", true},
		"a directory by its name":         {Options{Path: "new/"}, "new/" + name + ".tar", "new/" + name + ".tar", true},
		"several images":                  {Options{Path: "new", Images: 2}, "new/" + name + ".tar", "new/" + name + ".tar", true},
		"a list of one image":             {Options{Path: "new", Batch: true}, "new/" + name + ".tar", "new/" + name + ".tar", true},
		"a layout":                        {Options{Path: "there", Format: archive.OCI}, "there", filepath.Join(dir, "there"), false},
		"a layout without a path":         {Options{Format: archive.OCI}, name, filepath.Join(dir, name), true},
		"standard output":                 {Options{Path: "-", Stdout: &bytes.Buffer{}}, "-", name + ".tar", false},
		"standard output by its name":     {Options{Path: "/dev//stdout", Stdout: &bytes.Buffer{}}, "-", name + ".tar", false},
		"an engine":                       {Options{Elsewhere: true}, "", filepath.Join(dir, "user/segpull/parts", name), true},
		"an engine, with a cache":         {Options{Elsewhere: true, CacheDir: "cache"}, "", filepath.Join("cache/parts", name), true},
		"an engine, and a file":           {Options{Elsewhere: true, Path: "u.tar"}, "u.tar", "u.tar", false},
		"nothing is written, by a server": {Options{Nothing: true}, "", name, true},
	} {
		t.Run(what, func(t *testing.T) {
			if test.opts.Format == "" {
				test.opts.Format = archive.DockerArchive
			}
			p, err := New(test.opts)
			if err != nil {
				t.Fatal(err)
			}
			place := p.Of(ubuntu(t))
			if place.Path != test.path || place.Work != test.work || p.ByPlatform() != test.byPlatform {
				t.Errorf("path %q, work %q, by platform %v", place.Path, place.Work, p.ByPlatform())
			}
		})
	}
}

func TestWhatStandardOutputCannotHold(t *testing.T) {
	for what, opts := range map[string]Options{
		"two images": {Path: "-", Images: 2, Stdout: &bytes.Buffer{}},
		"a layout":   {Path: "-", Format: archive.OCI, Stdout: &bytes.Buffer{}},
		"no writer":  {Path: "-"},
	} {
		if _, err := New(opts); !isUsage(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPlaceIsCheckedBeforeAnythingIsFetched(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, err := range []error{
		os.WriteFile("file", nil, 0o600), os.Mkdir("dir", 0o700),
		os.Symlink("/dev/stderr", "device"), os.Symlink("nowhere", "dangling"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, test := range map[string]struct {
		format archive.Format
		want   string // part of the error; "": no error
		usage  bool
	}{
		"file":       {archive.DockerArchive, "", false},
		"new":        {archive.DockerArchive, "", false},
		"gone/new":   {archive.DockerArchive, "does not exist", false},
		"file/new":   {archive.DockerArchive, "is not a directory", false},
		"device":     {archive.DockerArchive, "is a link that the system needs", true},
		"/dev/null":  {archive.DockerArchive, "is not a regular file", true},
		"dir":        {archive.OCI, "", false},
		"file ":      {archive.OCI, "", false},
		"./file":     {archive.OCI, "is not a directory, and format oci needs one", true},
		"./dangling": {archive.OCI, "is a link to a file that does not exist", true},
	} {
		p, err := New(Options{Path: path, Format: test.format})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Plan()(ubuntu(t))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) || isUsage(err) != test.usage {
			t.Errorf("%s as %s: %v", path, test.format, err)
		}
	}
}

func TestTwoImagesHaveNoPlaceInCommon(t *testing.T) {
	t.Chdir(t.TempDir())
	p, err := New(Options{Format: archive.DockerArchive, Images: 2})
	if err != nil {
		t.Fatal(err)
	}
	plan := p.Plan()
	if _, err := plan(ubuntu(t)); err != nil {
		t.Error(err)
	}
	if _, err := plan(ubuntu(t)); !isUsage(err) {
		t.Errorf("the second image: %v", err)
	}
}
