package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segpull/segpull/segment"
)

func ranges(pairs ...int64) (out []segment.Range) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, segment.Range{Start: pairs[i], End: pairs[i+1]})
	}
	return out
}

// Two blobs: an earlier run had the middle of one and all of the other.
var (
	layer  = Placement{Digest: "sha256:layer", Size: 600_000, Offset: 1536}
	config = Placement{Digest: "sha256:config", Size: 700, Offset: 602_624}
)

func interrupted(t *testing.T) (path string, layerBytes, configBytes []byte) {
	path = filepath.Join(t.TempDir(), "image.tar")
	layerBytes, configBytes = random(600_000, 1), random(700, 2)
	s := open(t, path, []Placement{layer, config}, "fast", "slow")
	must(t, s.Write(0, 100_000, layerBytes[100_000:500_000], 0))
	must(t, s.Write(1, 0, configBytes, 1))
	must(t, s.Close())
	return path, layerBytes, configBytes
}

// checkTakenOver checks that the blobs with these indices have what
// the earlier run had.
func checkTakenOver(t *testing.T, s *Store, layerAt, configAt int, layerBytes, configBytes []byte) {
	t.Helper()
	b := s.Blob(layerAt)
	if got, want := b.Missing(), ranges(0, 100_000, 500_000, 600_000); !slices.Equal(got, want) {
		t.Errorf("missing of the layer: %v, want %v", got, want)
	}
	if got, want := b.Runs(), []Run{{segment.Range{Start: 100_000, End: 500_000}, "fast"}}; !slices.Equal(got, want) {
		t.Errorf("runs of the layer: %v, want %v", got, want)
	}
	if !bytes.Equal(content(t, b)[100_000:500_000], layerBytes[100_000:500_000]) {
		t.Error("the layer's bytes are not those that were written")
	}
	if got := s.Blob(configAt); got.Done() != 700 || !bytes.Equal(content(t, got), configBytes) {
		t.Error("the config's bytes are not those that were written")
	}
}

func TestResumeTakesOverWhatIsThere(t *testing.T) {
	moved := func(p Placement, offset int64) Placement { p.Offset = offset; return p }
	other := Placement{Digest: "sha256:other", Size: 5000, Offset: 700_000}
	tests := []struct {
		name          string
		blobs         []Placement
		layer, config int
	}{
		{"the same again", []Placement{layer, config}, 0, 1},
		{"another format, so other offsets", []Placement{moved(layer, 700), moved(config, 0)}, 0, 1},
		{"the offsets swapped over each other", []Placement{moved(config, 1000), moved(layer, 1700)}, 1, 0},
		{"the tag moved, one more blob", []Placement{other, layer, config}, 1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, layerBytes, configBytes := interrupted(t)
			// Again: bytes that were taken over are taken over a second time.
			for range 2 {
				s := open(t, path, tt.blobs, "new", "slow")
				checkTakenOver(t, s, tt.layer, tt.config, layerBytes, configBytes)
				must(t, s.Close())
			}
		})
	}
}

// Copying ends with its context, and the next run copies again.
func TestCopyingEndsWithItsContext(t *testing.T) {
	path, layerBytes, configBytes := interrupted(t)
	elsewhere := []Placement{{layer.Digest, layer.Size, 4096}, config}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := Open(ctx, path, elsewhere, nil); !errors.Is(err, enough) {
		t.Errorf("Open() = %v", err)
	}
	if _, err := os.Lstat(filepath.Join(Dir(path), "part2")); !os.IsNotExist(err) {
		t.Errorf("the copy is left (%v)", err)
	}
	checkTakenOver(t, open(t, path, elsewhere, "a"), 0, 1, layerBytes, configBytes)
}

func TestBlobThatIsNotWantedAnyMoreIsDropped(t *testing.T) {
	path, _, configBytes := interrupted(t)
	s := open(t, path, []Placement{{config.Digest, config.Size, 0}}, "new")
	if got := content(t, s.Blob(0)); !bytes.Equal(got, configBytes) {
		t.Error("the blob that is still wanted is not what was written")
	}
	entries, err := os.ReadDir(Dir(path))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"lock", "part2", "state"}; !slices.Equal(names, want) {
		t.Errorf("the directory holds %v, want %v", names, want)
	}
	// The source fast served only the layer, so the header does not list it any more.
	if want := []string{"new", "slow"}; !slices.Equal(s.header.Sources, want) {
		t.Errorf("sources are %v, want %v", s.header.Sources, want)
	}
}

func TestForgottenBytesStayForgotten(t *testing.T) {
	path, _, _ := interrupted(t)
	s := open(t, path, []Placement{layer, config}, "new")
	must(t, s.Blob(0).Forget(segment.Range{Start: 0, End: layer.Size}))
	must(t, s.Close())
	s = open(t, path, []Placement{layer, config}, "new")
	if s.Blob(0).Done() != 0 || s.Blob(1).Done() != 700 {
		t.Errorf("done: %d and %d, want 0 and 700", s.Blob(0).Done(), s.Blob(1).Done())
	}
}

// After a kill between the renaming of the output and the removal of the directory, all
// blobs are complete, and the next run fetches nothing.
func TestCrashBetweenPromoteAndRemove(t *testing.T) {
	path, layerBytes, configBytes := interrupted(t)
	s := open(t, path, []Placement{layer, config}, "fast")
	must(t, s.PromotePart(path, config.Offset+config.Size))
	must(t, s.Close())

	for range 2 { // the next run may be killed there as well
		s = open(t, path, []Placement{layer, config}, "new")
		checkTakenOver(t, s, 0, 1, layerBytes, configBytes)
		must(t, s.PromotePart(path, config.Offset+config.Size))
		must(t, s.Close())
	}

	s = open(t, path, []Placement{layer, config}, "new")
	must(t, s.PromotePart(path, config.Offset+config.Size))
	must(t, s.Remove())
	if got := make([]byte, config.Size); true {
		_, err := s.Blob(1).Section().ReadAt(got, 0)
		must(t, err)
		if !bytes.Equal(got, configBytes) {
			t.Error("a section does not outlive the directory")
		}
	}
	if _, err := os.Stat(Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the directory is still there (%v)", err)
	}
	archive, err := os.ReadFile(path)
	must(t, err)
	if int64(len(archive)) != config.Offset+config.Size || !bytes.Equal(archive[config.Offset:], configBytes) {
		t.Error("the output is not the part file")
	}
}

// Tidy removes a directory that has only blobs of the existing output, and keeps the
// bytes that a pull of another image has fetched.
func TestTidy(t *testing.T) {
	part := func(path string) string { return filepath.Join(Dir(path), "part") }
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		blobs  []string // of the existing output
		gone   bool
	}{
		{"the same image", func(*testing.T, string) {}, []string{"sha256:more", layer.Digest, config.Digest}, true},
		{"another image", func(*testing.T, string) {}, []string{layer.Digest, "sha256:other"}, false},
		{"the part file became the output", func(t *testing.T, path string) { must(t, os.Rename(part(path), path)) }, nil, true},
		{"no sidecar", func(t *testing.T, path string) { must(t, os.Remove(filepath.Join(Dir(path), "state"))) }, nil, true},
		{"leftovers", func(t *testing.T, path string) {
			for _, name := range []string{"part2", "state.new", "output", "mode"} {
				must(t, os.WriteFile(filepath.Join(Dir(path), name), nil, 0o600))
			}
		}, []string{layer.Digest, config.Digest}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, layerBytes, configBytes := interrupted(t)
			tt.change(t, path)
			must(t, Tidy(path, tt.blobs))
			if _, err := os.Lstat(Dir(path)); os.IsNotExist(err) != tt.gone {
				t.Errorf("the directory: %v", err)
			}
			if !tt.gone {
				checkTakenOver(t, open(t, path, []Placement{layer, config}, "a"), 0, 1, layerBytes, configBytes)
			}
		})
	}
}

func TestTidyLeavesADirectoryThatIsInUse(t *testing.T) {
	path, _, _ := interrupted(t)
	open(t, path, []Placement{layer, config}, "a")
	must(t, Tidy(path, []string{layer.Digest, config.Digest}))
	if _, err := os.Lstat(filepath.Join(Dir(path), "state")); err != nil {
		t.Error(err)
	}
}

func TestPromoteReplacesTheOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	must(t, os.WriteFile(path, []byte("an older image"), 0o600))
	s := open(t, path, nil)
	f, err := s.Create()
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("new")
	must(t, err)
	must(t, s.Promote(f, path))
	must(t, s.Remove())
	if got, _ := os.ReadFile(path); string(got) != "new" {
		t.Errorf("the output holds %q", got)
	}
}

func TestDamagedBytesAreFoundAndOnlyThese(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	blobs := []Placement{{"sha256:a", 5 * MaxRecord, 512}}
	truth := random(5*MaxRecord, 1)
	s := open(t, path, blobs, "a")
	must(t, s.Write(0, 0, truth, 0))
	must(t, s.Close())

	s = open(t, path, blobs, "b")
	reported := damaged(s)
	flip(t, filepath.Join(Dir(path), "part"), 512+MaxRecord+77)
	must(t, os.Truncate(filepath.Join(Dir(path), "part"), 512+5*MaxRecord-1))
	b := s.Blob(0)
	if b.Done() != b.Size() {
		t.Fatal("it can't know yet")
	}
	content(t, b)
	want := ranges(MaxRecord, 2*MaxRecord, 4*MaxRecord, 5*MaxRecord)
	if got := reported(); !slices.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}
	if got := b.Missing(); !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	for _, r := range want {
		must(t, s.Write(0, r.Start, truth[r.Start:r.End], 0))
	}
	if !bytes.Equal(content(t, b), truth) || len(reported()) != len(want) {
		t.Error("the blob is not whole after its damaged bytes were written again")
	}
}

func TestDamagedRestOfAReplacedRecordIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	s := open(t, path, []Placement{{"sha256:a", 1000, 0}}, "a")
	reported := damaged(s)
	must(t, s.Write(0, 0, random(1000, 1), 0))
	flip(t, filepath.Join(Dir(path), "part"), 900)
	must(t, s.Blob(0).Replace(0, random(500, 2), 0))
	want := ranges(500, 1000)
	if got := s.Blob(0).Missing(); !slices.Equal(got, want) || !slices.Equal(reported(), want) {
		t.Errorf("missing %v, reported %v, want %v", got, reported(), want)
	}
}

func TestPartFileThatGrewIsCut(t *testing.T) {
	path, _, _ := interrupted(t)
	must(t, os.Truncate(filepath.Join(Dir(path), "part"), 5_000_000))
	s := open(t, path, []Placement{layer, config}, "a")
	must(t, s.PromotePart(path, config.Offset+config.Size))
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() != config.Offset+config.Size {
		t.Errorf("the output has %d bytes", info.Size())
	}
}
