//go:build unix

package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPermissions(t *testing.T) {
	tests := []struct{ umask, want os.FileMode }{{0o022, 0o644}, {0o027, 0o640}, {0, 0o666}, {0o077, 0o600}}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("umask %03o", tt.umask), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image.tar")
			must(t, os.Mkdir(Dir(path), 0o755)) // by another program, with too many permissions
			defer unix.Umask(unix.Umask(int(tt.umask)))
			s := open(t, path, []Placement{{"sha256:a", 10, 0}}, "a")
			f, err := s.Create()
			must(t, err)
			defer f.Close()

			mode := func(name string) os.FileMode {
				info, err := os.Stat(name)
				must(t, err)
				return info.Mode().Perm()
			}
			if got := mode(Dir(path)); got != 0o700 {
				t.Errorf("the directory has mode %o", got)
			}
			for _, name := range []string{"part", "state", "lock", "output"} {
				if got := mode(filepath.Join(Dir(path), name)); got&0o077 != 0 {
					t.Errorf("%s has mode %o", name, got)
				}
			}
			must(t, s.Promote(f, path+".2"))
			must(t, s.PromotePart(path, 10))
			must(t, s.Remove())
			for _, name := range []string{path, path + ".2"} {
				if got := mode(name); got != tt.want {
					t.Errorf("the output has mode %o, want %o", got, tt.want)
				}
			}
		})
	}
}

// To open a pipe means to wait for its other end, perhaps for ever.
func TestPipesAreNotOpened(t *testing.T) {
	for _, name := range []string{"state", "part"} {
		t.Run(name, func(t *testing.T) {
			path, _, _ := interrupted(t)
			must(t, os.Remove(filepath.Join(Dir(path), name)))
			must(t, unix.Mkfifo(filepath.Join(Dir(path), name), 0o600))
			must(t, unix.Mkfifo(path, 0o600)) // nor the output's name
			s := open(t, path, []Placement{layer, config}, "a")
			if s.Blob(0).Done() != 0 {
				t.Errorf("%d bytes were found in a pipe", s.Blob(0).Done())
			}
		})
	}
}

// limit sets a limit of this process until the test lifts it.
func limit(t *testing.T, resource int, to uint64) (lift func()) {
	t.Helper()
	var old unix.Rlimit
	must(t, unix.Getrlimit(resource, &old))
	must(t, unix.Setrlimit(resource, &unix.Rlimit{Cur: to, Max: old.Max}))
	return func() { must(t, unix.Setrlimit(resource, &old)) }
}

// If no descriptor is free, at any point of Open, it fails, and loses no bytes.
func TestDescriptorsRunOut(t *testing.T) {
	for _, blobs := range [][]Placement{{layer, config}, {config, {layer.Digest, layer.Size, 4096}}} {
		path, layerBytes, configBytes := interrupted(t)
		at := 0 // the layer's index
		if blobs[0] == config {
			at = 1
			blobs[0].Offset = 0
		}
		failed := 0
		for n := uint64(3); ; n++ {
			lift := limit(t, unix.RLIMIT_NOFILE, n)
			s, err := Open(t.Context(), path, blobs, []string{"a"})
			lift()
			if err == nil {
				checkTakenOver(t, s, at, 1-at, layerBytes, configBytes)
				must(t, s.Close())
				break
			}
			if !errors.Is(err, syscall.EMFILE) {
				t.Fatalf("Open() = %v", err)
			}
			failed++
		}
		if failed < 3 {
			t.Errorf("only %d limits were too low", failed)
		}
	}
}

// inOwnProcess reports whether this is a process that runs only this test, and runs it in
// one otherwise. A limit on the size of files would also meet the log that go test asks
// this process for.
func inOwnProcess(t *testing.T) bool {
	const variable = "SEGPULL_STATE_TEST_ALONE"
	if os.Getenv(variable) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// tooBig calls Open while no file may have more than this number of bytes, as on a full
// disk.
func tooBig(t *testing.T, path string, blobs []Placement, most uint64) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	lift := limit(t, unix.RLIMIT_FSIZE, most)
	defer lift()
	if _, err := Open(t.Context(), path, blobs, []string{"a"}); !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("Open() = %v, want that a file is too big", err)
	}
}

// wantInDir checks which files the directory of path has.
func wantInDir(t *testing.T, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(Dir(path))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("the directory holds %q, want %q", names, want)
	}
}

// Open removes useless files before it writes anything.
func TestLeftoversAreNotInTheWayOnAFullDisk(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	path, layerBytes, configBytes := interrupted(t)
	for _, name := range []string{"part2", "output", "mode", "state.new"} {
		must(t, os.WriteFile(filepath.Join(Dir(path), name), random(4096, 3), 0o600))
	}
	tooBig(t, path, []Placement{layer, config}, 64) // not even a sidecar
	wantInDir(t, path, "lock", "part", "state", "state.new")
	s := open(t, path, []Placement{layer, config}, "a")
	checkTakenOver(t, s, 0, 1, layerBytes, configBytes)
}

func TestACopyThatFailsIsNotLeft(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	path, layerBytes, configBytes := interrupted(t)
	elsewhere := []Placement{{layer.Digest, layer.Size, 4096}, config}
	tooBig(t, path, elsewhere, 300_000)
	wantInDir(t, path, "lock", "part", "state")
	checkTakenOver(t, open(t, path, elsewhere, "a"), 0, 1, layerBytes, configBytes)
}

// On a full disk, a write ends before all bytes are written (here because of the limit
// of a file's size, which has the same effect). A partial record must neither count nor
// shift the records that follow when there is space again.
func TestDiskFull(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	path := filepath.Join(t.TempDir(), "image.tar")
	blobs := []Placement{{"sha256:a", 100, 0}, {"sha256:b", 10_000, 100}}
	truth := random(10_000, 1)
	s := open(t, path, blobs, "a")
	must(t, s.Write(0, 0, truth[:10], 0))

	lift := limit(t, unix.RLIMIT_FSIZE, uint64(s.log.end)+recordSize/2)
	tornRecord := s.Write(0, 10, truth[10:20], 0)
	tornData := s.Write(1, 0, truth, 0)
	lift()
	for _, err := range []error{tornRecord, tornData} {
		if !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("Write() = %v, want that the file is too big", err)
		}
	}
	if s.Blob(0).Done() != 10 || s.Blob(1).Done() != 0 {
		t.Error("bytes count that could not be written")
	}

	must(t, s.Write(0, 20, truth[20:30], 0))
	must(t, s.Write(1, 500, truth[500:600], 0))
	must(t, s.Close())
	s = open(t, path, blobs, "a")
	for i, want := range [][]int64{{10, 20, 30, 100}, {0, 500, 600, 10_000}} {
		if got := s.Blob(i).Missing(); fmt.Sprint(got) != fmt.Sprint(ranges(want...)) {
			t.Errorf("missing of blob %d: %v, want %v", i, got, want)
		}
	}
	if !bytes.Equal(content(t, s.Blob(0))[:10], truth[:10]) {
		t.Error("what was written before is not there")
	}
}
