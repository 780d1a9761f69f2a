package state

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever files have the names that a Store uses, Open creates a working directory,
// and changes nothing outside of it.
func TestOddFilesInThePartDirectory(t *testing.T) {
	victim := []byte("not to be touched")
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir, victim string)
		kept  bool // the bytes of the earlier run are not lost
	}{
		{"nothing is wrong", func(*testing.T, string, string) {}, true},
		{"sidecar is garbage", func(t *testing.T, dir, _ string) {
			must(t, os.WriteFile(filepath.Join(dir, "state"), random(4096, 9), 0o600))
		}, false},
		{"sidecar is empty", func(t *testing.T, dir, _ string) {
			must(t, os.Truncate(filepath.Join(dir, "state"), 0))
		}, false},
		{"sidecar is cut in its header", func(t *testing.T, dir, _ string) {
			must(t, os.Truncate(filepath.Join(dir, "state"), 50))
		}, false},
		{"sidecar is from a newer version", func(t *testing.T, dir, _ string) {
			flip(t, filepath.Join(dir, "state"), int64(len(magic)-1))
		}, false},
		{"sidecar is a directory", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(filepath.Join(dir, "state")))
			must(t, os.MkdirAll(filepath.Join(dir, "state", "deep"), 0o700))
		}, false},
		{"sidecar is a link", func(t *testing.T, dir, victim string) {
			must(t, os.Remove(filepath.Join(dir, "state")))
			must(t, os.Symlink(victim, filepath.Join(dir, "state")))
		}, false},
		{"part file is gone", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(filepath.Join(dir, "part")))
		}, false},
		{"part file is a link", func(t *testing.T, dir, victim string) {
			must(t, os.Remove(filepath.Join(dir, "part")))
			must(t, os.Symlink(victim, filepath.Join(dir, "part")))
		}, false},
		{"part file is a directory", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(filepath.Join(dir, "part")))
			must(t, os.MkdirAll(filepath.Join(dir, "part", "deep"), 0o700))
		}, false},
		{"the new part file's name is a directory", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(filepath.Join(dir, "part")))
			must(t, os.MkdirAll(filepath.Join(dir, "part2", "deep"), 0o700))
		}, false},
		{"the new sidecar's name is a link", func(t *testing.T, dir, victim string) {
			must(t, os.Symlink(victim, filepath.Join(dir, "state.new")))
		}, true},
		{"the output's names are links", func(t *testing.T, dir, victim string) {
			must(t, os.Symlink(victim, filepath.Join(dir, "output")))
			must(t, os.Symlink(victim, filepath.Join(dir, "mode")))
		}, true},
		{"part file has another name", func(t *testing.T, dir, _ string) {
			must(t, os.Link(filepath.Join(dir, "part"), dir+".copy"))
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, layerBytes, _ := interrupted(t)
			target := filepath.Join(t.TempDir(), "victim")
			must(t, os.WriteFile(target, victim, 0o644))
			tt.spoil(t, Dir(path), target)

			s := open(t, path, []Placement{layer, config}, "a")
			if kept := content(t, s.Blob(0)); bytes.Contains(kept, layerBytes[100_000:500_000]) != tt.kept {
				t.Errorf("%d bytes of the layer are still there", s.Blob(0).Done())
			}
			must(t, s.Write(0, 0, layerBytes, 0))
			f, err := s.Create()
			must(t, err)
			f.Close()
			must(t, s.PromotePart(path, config.Offset+config.Size))
			must(t, s.Remove())
			archive, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(archive[layer.Offset:][:layer.Size], layerBytes) {
				t.Error("the output does not hold the layer")
			}
			if got, _ := os.ReadFile(target); !bytes.Equal(got, victim) {
				t.Error("a file outside of the directory was written to")
			}
		})
	}
}

func TestLinkedPartFileIsNotWrittenTo(t *testing.T) {
	path, layerBytes, _ := interrupted(t)
	other := path + ".copy"
	must(t, os.Link(filepath.Join(Dir(path), "part"), other))
	before, err := os.ReadFile(other)
	must(t, err)
	s := open(t, path, []Placement{layer, config}, "a")
	must(t, s.Write(0, 0, layerBytes, 0))
	if after, _ := os.ReadFile(other); !bytes.Equal(before, after) {
		t.Error("the part file's other name was written to")
	}
}

func TestDirectoryThatIsNotOurs(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, dir string)
	}{
		{"a link to a directory", func(t *testing.T, dir string) { must(t, os.Symlink(t.TempDir(), dir)) }},
		{"a dangling link", func(t *testing.T, dir string) { must(t, os.Symlink(dir+".nowhere", dir)) }},
		{"a file", func(t *testing.T, dir string) { must(t, os.WriteFile(dir, nil, 0o600)) }},
		{"of another user", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o777))
			if err := os.Chown(dir, 12345, -1); err != nil {
				t.Skip("only root can give files away")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image.tar")
			tt.make(t, Dir(path))
			_, err := Open(t.Context(), path, nil, nil)
			if err == nil || !strings.Contains(err.Error(), "not a directory that belongs to you") {
				t.Errorf("Open() = %v", err)
			}
		})
	}
}

func TestDirectoryThatCantBeMade(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "nowhere", "x"), nil, nil); !os.IsNotExist(err) {
		t.Errorf("Open() = %v, want that the directory does not exist", err)
	}
}

func TestWhatIsNotOursStaysInTheDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	must(t, os.Mkdir(Dir(path), 0o777))
	diary := filepath.Join(Dir(path), "diary")
	must(t, os.WriteFile(diary, []byte("dear"), 0o600))
	s := open(t, path, nil)
	if err := s.Remove(); err == nil {
		t.Error("a directory with something else in it was removed")
	}
	if got, _ := os.ReadFile(diary); string(got) != "dear" {
		t.Error("a file that is not ours is gone")
	}
}

// If another process removes the directory of a run, that run ends with an error.
func TestDirectoryThatIsRemovedMeanwhileIsNoticed(t *testing.T) {
	path, _, _ := interrupted(t)
	s := open(t, path, []Placement{layer, config}, "a")
	must(t, s.Sync())
	must(t, os.RemoveAll(Dir(path)))
	if err := s.Sync(); err == nil || !strings.Contains(err.Error(), "another process removed or replaced") {
		t.Errorf("Sync() = %v", err)
	}
}

func TestPartFileThatIsReplacedMeanwhileIsNoOutput(t *testing.T) {
	path, _, _ := interrupted(t)
	s := open(t, path, []Placement{layer, config}, "a")
	part := filepath.Join(Dir(path), "part")
	must(t, os.Remove(part))
	must(t, os.WriteFile(part, []byte("something else"), 0o600))
	if err := s.PromotePart(path, 700); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("PromotePart() = %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("there is an output (%v)", err)
	}
}
