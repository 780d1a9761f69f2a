package soak

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// smallImage is one of a few KiB, with a layer that is listed twice.
func smallImage() image {
	i := image{platform: "linux/amd64"}
	i.image = registrytest.NewImage(registrytest.ImageOptions{
		Layers: []int64{20 * kib, 3 * kib}, Platform: i.platform,
		EditConfig: func(c *ocispec.Image) {
			c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, c.RootFS.DiffIDs[0])
			i.diffIDs = c.RootFS.DiffIDs
		},
		EditManifest: func(m *ocispec.Manifest) {
			m.Layers = append(m.Layers, m.Layers[0])
			i.layers = m.Layers
		},
	})
	i.pushed = i.image
	return i
}

func TestARoundFollowsFromItsSeed(t *testing.T) {
	r := newRound(1, 2)
	if again := newRound(1, 2); again.String() != r.String() {
		t.Errorf("the same seed gave\n%s\nand\n%s", r, again)
	}
	if other := newRound(2, 2); other.String() == r.String() {
		t.Errorf("two seeds gave\n%s", r)
	}
	if last := r.attempts[len(r.attempts)-1]; last.cause != undisturbed || len(last.damages)+len(last.others) > 0 {
		t.Errorf("the last attempt is disturbed: %s", last)
	}
}

func TestMirrorsLeadToTheOutcome(t *testing.T) {
	seen := map[role]bool{}
	for seed := range uint64(300) {
		for _, f := range []outcome{succeeds, mismatches, mayFail} {
			r := round{image: smallImage(), outcome: f}
			r.drawMirrors(newRandom(seed, 0))
			if got := r.outcomeOf(r.mirrors); got != f || len(r.mirrors) > 4 {
				t.Fatalf("seed %d: mirrors for %q lead to %q:\n%s", seed, f, got, r)
			}
			for _, m := range r.mirrors {
				seen[m.role] = true
				if m.whole && m.cuts {
					t.Errorf("seed %d: %s never sends a large blob", seed, m)
				}
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("only %v were drawn", seen)
	}
}

func TestAnImageIsWhatItsManifestSays(t *testing.T) {
	i := drawImage(newRandom(7, 0))
	if len(i.layers) != len(i.diffIDs) || len(i.layers) != len(i.image.Layers) || len(i.layers) > 8 {
		t.Errorf("%d layers, %d diff IDs, %d blobs", len(i.layers), len(i.diffIDs), len(i.image.Layers))
	}
	if n := smallImage().size(); n != 23*kib+smallImage().image.Config.Size {
		t.Errorf("a layer that comes twice counts twice: %d bytes", n)
	}
}

// pullSmall pulls the small image and returns the path of the output.
func pullSmall(t *testing.T, i image, format string) (path string) {
	t.Helper()
	reg := registrytest.New()
	reg.Push(repository, "1", i.pushed)
	path = filepath.Join(t.TempDir(), "image")
	_, err := segpull.Pull(t.Context(), segpull.Options{
		Mirrors: []string{reg.Start(t)}, Output: path, Format: format, Platform: i.platform,
	}, "soak:1")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckOutput(t *testing.T) {
	i := smallImage()
	for format, layout := range map[string]string{"docker-archive": "docker-archive", "oci-archive": "oci", "oci": "oci", "legacy": "legacy"} {
		path := pullSmall(t, i, format)
		if got, err := i.checkOutput(path, "soak:1"); err != nil || got != layout {
			t.Errorf("%s is read as %q: %v", format, got, err)
		}
		damaged := path
		if format == "oci" {
			damaged = filepath.Join(path, "blobs/sha256", i.layers[0].Digest.Encoded())
		}
		if err := (damage{kind: "flip", at: 0.6, length: 1}).apply(damaged, ""); err != nil { // in the largest layer
			t.Fatal(err)
		}
		if _, err := i.checkOutput(path, "soak:1"); err == nil {
			t.Errorf("%s with a wrong byte is accepted", format)
		}
	}
	other := image{image: registrytest.NewImage(registrytest.ImageOptions{}), platform: "linux/amd64"}
	if _, err := other.checkOutput(pullSmall(t, i, "docker-archive"), "soak:1"); err == nil {
		t.Error("another image is accepted")
	}
}

// TestRunRound runs a round with the real command.
func TestRunRound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	program, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := round{image: smallImage(), outcome: succeeds, shape: toFile, mirrors: []*mirror{
		{name: "m0", role: correct, user: "user-m0", password: "pass-m0", secret: "header-m0", redirects: time.Minute, rate: 64 * kib},
		{name: "m1", role: corrupt},
	}}
	r.mirrors[0].addFault("passwords", "", registrytest.Basic("user-m0", "pass-m0"))
	r.mirrors[1].addFault("flipped bytes", "", registrytest.Flip(0, mib))
	last := attempt{mirrors: r.mirrors, format: "docker-archive", progress: "json", cause: undisturbed}
	killed := last
	killed.cause, killed.after, killed.others = kill, 150*time.Millisecond, []time.Duration{10 * time.Millisecond}
	full := last
	full.cause, full.room = fullDisk, 4*kib
	full.damages = []damage{{kind: "flip", file: "part", at: 0.5, length: 10}, {kind: "link", file: memoryName}}
	r.attempts = []attempt{killed, full, last}

	sum := newTally()
	wrong, err := runRound(t.Context(), r, program, t.TempDir(), sum)
	if err != nil || len(wrong) > 0 {
		t.Fatalf("%v, and wrong is %q in\n%s", err, wrong, r)
	}
	var table strings.Builder
	sum.print(&table)
	for _, want := range []string{"rounds           1\n", "processes        4", "a full disk: 1", "flip of part: 1", "redirects to a CDN: 1", "wrong outputs    0\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &table)
		}
	}
}
