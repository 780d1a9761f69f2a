package soak

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/bench/output"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// smallImage is one of a few KiB, with a layer that comes twice.
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
	if last := r.runs[len(r.runs)-1]; last.blow != peace || len(last.wounds)+len(last.rivals) > 0 {
		t.Errorf("the last run is not left in peace: %s", last)
	}
}

func TestMirrorsLeadToTheFate(t *testing.T) {
	seen := map[role]bool{}
	for seed := range uint64(300) {
		for _, f := range []fate{endsWell, endsIn5, mayFail} {
			r := round{image: smallImage(), fate: f}
			r.drawMirrors(newDice(seed, 0))
			if got := r.fateOf(r.mirrors); got != f || len(r.mirrors) > 4 {
				t.Fatalf("seed %d: mirrors for %q lead to %q:\n%s", seed, f, got, r)
			}
			for _, m := range r.mirrors {
				seen[m.role] = true
				if m.whole && m.cuts {
					t.Errorf("seed %d: no large blob ever comes from %s", seed, m)
				}
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("only %v were drawn", seen)
	}
}

func TestAnImageIsWhatItsManifestSays(t *testing.T) {
	i := drawImage(newDice(7, 0))
	if len(i.layers) != len(i.diffIDs) || len(i.layers) != len(i.image.Layers) || len(i.layers) > 8 {
		t.Errorf("%d layers, %d diff IDs, %d blobs", len(i.layers), len(i.diffIDs), len(i.image.Layers))
	}
	if n := smallImage().size(); n != 23*kib+smallImage().image.Config.Size {
		t.Errorf("a layer that comes twice counts twice: %d bytes", n)
	}
}

// pullSmall pulls the small image and returns where it stands.
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
	for format, told := range map[string]string{"docker-archive": "docker-archive", "oci-archive": "oci", "oci": "oci", "legacy": "legacy"} {
		path := pullSmall(t, i, format)
		if got, err := i.checkOutput(path, "soak:1"); err != nil || got != told {
			t.Errorf("%s is taken for %q: %v", format, got, err)
		}
		damaged := path
		if format == "oci" {
			damaged = filepath.Join(path, output.BlobDirectory, i.layers[0].Digest.Encoded())
		}
		if err := (wound{what: "flip", at: 0.6, length: 1}).inflict(damaged, ""); err != nil { // in the largest layer
			t.Fatal(err)
		}
		if _, err := i.checkOutput(path, "soak:1"); err == nil {
			t.Errorf("%s with a wrong byte is taken for right", format)
		}
	}
	other := image{image: registrytest.NewImage(registrytest.ImageOptions{}), platform: "linux/amd64"}
	if _, err := other.checkOutput(pullSmall(t, i, "docker-archive"), "soak:1"); err == nil {
		t.Error("another image is taken for right")
	}
}

func TestJudge(t *testing.T) {
	well := []*mirror{
		{name: "m0", role: honest, user: "user-m0", password: "pass-m0"},
		{name: "m1", role: liar, user: "user-m1", password: "pass-m1"},
	}
	events := func(lines string) ending { return ending{stderr: []byte(lines), events: readEvents([]byte(lines))} }
	killed := ending{Usage: program.Usage{Exit: -1, Err: "signal: killed"}, run: attempt{blow: kill}, struck: time.Now()}
	for name, test := range map[string]struct {
		e     ending
		kept  int64
		blame string // "": nothing is wrong
	}{
		"killed":                  {e: killed},
		"killed by nobody":        {e: ending{Usage: program.Usage{Exit: -1, Err: "signal: killed"}}, blame: "exit code -1"},
		"gave out":                {e: ending{Usage: program.Usage{Exit: 6}, stderr: []byte("segpull: gave out\n")}},
		"wrong code":              {e: ending{Usage: program.Usage{Exit: 5}, stderr: []byte("segpull: mismatch\n")}, blame: "exit code 5"},
		"interrupted by nobody":   {e: ending{Usage: program.Usage{Exit: 130}, stderr: []byte("segpull: interrupted\n")}, blame: "exit code 130"},
		"late":                    {e: ending{Usage: program.Usage{Exit: 130}, run: attempt{blow: interrupt}, struck: time.Now(), lived: time.Minute, stderr: []byte("segpull: interrupted\n")}, blame: "went on for"},
		"no word":                 {e: ending{Usage: program.Usage{Exit: 6}}, blame: "ends with the line"},
		"another code in JSON":    {e: ending{Usage: program.Usage{Exit: 6}, run: attempt{progress: "json"}, stderr: []byte(`{"event":"error","exit_code":1}`)}, blame: "ends with the event"},
		"a crash":                 {e: ending{Usage: program.Usage{Exit: 2}, stderr: []byte("panic: x\n")}, blame: "crashed"},
		"hung":                    {e: ending{Usage: program.Usage{Exit: 2}, stderr: []byte("SIGQUIT: quit\n")}, blame: "hung"},
		"no output":               {e: ending{}, blame: "no output"},
		"an honest one convicted": {e: events(`{"event":"liar","source":"m0"}`), blame: "m0 is called a liar"},
		"a password":              {e: ending{Usage: program.Usage{Exit: 6}, stderr: []byte("segpull: 401 for pass-m0\n")}, blame: "stands in standard error"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.e.run.mirrors, test.e.alone, test.e.path = well, true, filepath.Join(outputs(dir), outputName)
			if test.e.Exit == 0 && test.blame != "no output" {
				test.e.Exit = segpull.ExitNetwork
			}
			if err := os.Mkdir(outputs(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			j := &judge{round: &round{image: smallImage(), shape: toFile, mirrors: well}, dir: dir, kept: test.kept}
			j.hear(test.e)
			wantBlame(t, j, test.blame)
		})
	}
}

func wantBlame(t *testing.T, j *judge, blame string) {
	t.Helper()
	said := strings.Join(j.wrong, "\n")
	if blame == "" && said != "" || !strings.Contains(said, blame) {
		t.Errorf("the judge said %q, want %q", said, blame)
	}
}

func TestJudgeOfResumes(t *testing.T) {
	run := func(lines string) ending {
		return ending{Usage: program.Usage{Exit: -1}, events: readEvents([]byte(lines)), alone: true, path: "/nowhere"}
	}
	j := &judge{round: &round{mirrors: []*mirror{{role: honest}}}}
	j.checkResume(run(`{"event":"progress","done":5,"resumed":0}` + "\n" + `{"event":"progress","done":90,"resumed":0}`))
	j.checkResume(run("")) // killed before it could say anything
	j.checkResume(run(`{"event":"progress","done":95,"resumed":90}`))
	wantBlame(t, j, "")
	ended := &judge{round: j.round}
	ended.checkResume(run(`{"event":"progress","done":95,"resumed":0}` + "\n" + `{"event":"finished"}`)) // killed after it
	ended.checkResume(run(`{"event":"progress","done":5,"resumed":0}`))
	wantBlame(t, ended, "")
	j.checkResume(run(`{"event":"progress","done":95,"resumed":94}`))
	wantBlame(t, j, "95 bytes were on disk, and 94 are resumed")
}

func TestJudgeOfTraffic(t *testing.T) {
	r := round{image: smallImage(), mirrors: []*mirror{
		{name: "m0", user: "user-m0", password: "pass-m0"}, {name: "m1"},
	}}
	site, err := serve(r)
	defer site.close()
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{round: &r}
	j.checkTraffic(site, 0)
	wantBlame(t, j, "")
	for range 80 { // 1.6 MiB of an image of 23 KiB
		fetch(t, site.running[0].url, r.image.layers[0].Digest, "user-m0", "pass-m0")
	}
	j.checkTraffic(site, 0)
	wantBlame(t, j, "more than allowed")
	fetch(t, site.running[1].url, r.image.layers[0].Digest, "user-m0", "pass-m0")
	j.checkTraffic(site, 0)
	wantBlame(t, j, "a secret of m0 went to m1")
}

func fetch(t *testing.T, url string, blob digest.Digest, user, password string) {
	t.Helper()
	get := exec.CommandContext(t.Context(), "curl", "-sf", "-o", os.DevNull, "-u", user+":"+password, url+"/v2/"+repository+"/blobs/"+blob.String())
	if err := get.Run(); err != nil {
		t.Fatal(err)
	}
}

func TestHitsFallInTheirOrder(t *testing.T) {
	run := attempt{blow: interrupt, after: 3 * time.Second, pausedAt: time.Second, paused: time.Second}
	var order []syscall.Signal
	for _, h := range run.hits() {
		order = append(order, h.signal)
	}
	if want := []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGINT, syscall.SIGQUIT}; !slices.Equal(order, want) {
		t.Errorf("hits are %v, want %v", order, want)
	}
}

func TestSuffer(t *testing.T) {
	none := func() int { return 3 }
	e, err := suffer(t.Context(), attempt{blow: kill, after: 50 * time.Millisecond}, exec.Command("sleep", "60"), none)
	if err != nil || e.Exit != -1 || e.struck.IsZero() || e.open != 3 {
		t.Errorf("killed: %+v, %v", e, err)
	}
	e, err = suffer(t.Context(), attempt{blow: kill, after: time.Minute, progress: "json"}, exec.Command("sh", "-c", `echo '{"event":"progress","done":7}' >&2; exit 6`), none)
	if err != nil || e.Exit != 6 || !e.struck.IsZero() || len(e.events) != 1 || e.events[0].Done != 7 {
		t.Errorf("ended before the blow: %+v, %v", e, err)
	}
}

func TestWounds(t *testing.T) {
	for what, want := range map[string]string{
		"flip": "0123\xcb\xca6789", "truncate": "0123", "grow": "0123456789\x00\x00", "garbage": "", "remove": "gone", "folder": "a folder", "link": "nobody writes here",
	} {
		dir := t.TempDir()
		path, bystander := filepath.Join(dir, "part"), bystanderOf(dir)
		for file, text := range map[string]string{path: "0123456789", bystander: bystanding} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := (wound{what: what, at: 0.4, length: 2}).inflict(path, bystander); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		got := "gone"
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			got = "a folder"
		} else if text, err := os.ReadFile(path); err == nil {
			got = string(text)
		}
		if what == "garbage" {
			want = string(noise(0, 2))
		}
		if got != want {
			t.Errorf("%s made %q, want %q", what, got, want)
		}
		if err := (wound{what: what}).inflict(filepath.Join(dir, "nothing"), bystander); err != nil {
			t.Errorf("%s of nothing: %v", what, err)
		}
	}
}

// TestSoak plays a round with the real command.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	program, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := round{image: smallImage(), fate: endsWell, shape: toFile, mirrors: []*mirror{
		{name: "m0", role: honest, user: "user-m0", password: "pass-m0", secret: "header-m0", redirects: time.Minute, rate: 64 * kib},
		{name: "m1", role: liar},
	}}
	r.mirrors[0].suffers("passwords", "", registrytest.Basic("user-m0", "pass-m0"))
	r.mirrors[1].suffers("flipped bytes", "", registrytest.Flip(0, mib))
	run := attempt{mirrors: r.mirrors, format: "docker-archive", progress: "json", blow: peace}
	hurt := run
	hurt.blow, hurt.after, hurt.rivals = kill, 150*time.Millisecond, []time.Duration{10 * time.Millisecond}
	full := run
	full.blow, full.room = noRoom, 4*kib
	full.wounds = []wound{{what: "flip", file: "part", at: 0.5, length: 10}, {what: "link", file: memory}}
	r.runs = []attempt{hurt, full, run}

	told := newTally()
	wrong, err := runRound(t.Context(), r, program, t.TempDir(), told)
	if err != nil || len(wrong) > 0 {
		t.Fatalf("%v, and wrong is %q in\n%s", err, wrong, r)
	}
	var table strings.Builder
	told.print(&table)
	for _, want := range []string{"rounds           1\n", "processes        4", "a full disk: 1", "flip of part: 1", "redirects to a CDN: 1", "wrong outputs    0\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &table)
		}
	}
}
