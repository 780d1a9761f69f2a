package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// script runs one of the scripts with a fresh segpull in its PATH.
func script(t *testing.T, name string, args ...string) string {
	t.Helper()
	needs.Programs(t, "sh", "curl", "go")
	dir := t.TempDir()
	if _, err := program.Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(program.Environment(t.TempDir()), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// twoMirrors serve an image of 8 MiB, the second to those with a token alone.
func twoMirrors(t *testing.T) (first, second *registrytest.Server, urls []string) {
	t.Helper()
	first = registrytest.New()
	first.Push("library/bench", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{6 << 20, 2 << 20}}))
	second = first.Mirror()
	second.Misbehave(registrytest.Bearer(registrytest.Auth{}))
	return first, second, []string{first.Start(t), second.Start(t)}
}

func TestWeakNetworkScript(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	t.Parallel()
	for limit, against := range map[string]string{"20M": "of the sum", "4MiB": "of the limit"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			first, second, urls := twoMirrors(t)
			first.Throttle(8 << 20)
			second.Throttle(8 << 20)
			out := script(t, "weak-network.sh", append([]string{"-l", limit, "bench:1"}, urls...)...)
			for _, want := range append(urls, "8.0 MiB in", against) {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
			if strings.Contains(out, "failed") || strings.Contains(out, "inf") {
				t.Errorf("a mirror failed, or a number is invalid:\n%s", out)
			}
		})
	}
}

func TestScriptsCheckTheirArguments(t *testing.T) {
	needs.Programs(t, "sh")
	for _, c := range []struct{ script, args, want string }{
		{"kill-and-resume.sh", "-n x image mirror", "-n x: expected a whole number"},
		{"kill-and-resume.sh", "-s 0 image mirror", "-s 0: expected more than no time"},
		{"kill-and-resume.sh", "-s 1s image mirror", "-s 1s: expected seconds"},
		{"kill-and-resume.sh", "-n 1 image", "expected an image and its mirrors"},
		{"weak-network.sh", "-l fast image mirror", "-l fast: expected bytes a second"},
		{"weak-network.sh", "-l 2Mb image mirror", "-l 2Mb: expected bytes a second"},
		{"weak-network.sh", "-l 0 image mirror", "-l 0: expected bytes a second"},
		{"weak-network.sh", "image", "expected an image and its mirrors"},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{c.script}, strings.Fields(c.args)...)...)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), "usage: bench/scripts/"+c.script) {
			t.Errorf("%s %s: %v\n%s", c.script, c.args, cmd.ProcessState, out)
		}
	}
}

func TestKillAndResumeScript(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull, and waits for seconds")
	}
	t.Parallel()
	first, second, urls := twoMirrors(t)
	if early := script(t, "kill-and-resume.sh", "-n", "1", "-s", "0.001", "bench:1", urls[0]); !strings.Contains(early, "killed before anything arrived") {
		t.Errorf("killed at the start, it says\n%s", early)
	}
	first.Throttle(1 << 20)
	second.Throttle(1 << 20)
	out := script(t, "kill-and-resume.sh", append([]string{"-n", "2", "-s", "1", "bench:1"}, urls...)...)
	if got := strings.Count(out, "killed: "); got != 2 || !strings.Contains(out, "finished: fetched ") {
		t.Errorf("want two kills and an end, got\n%s", out)
	}
}
