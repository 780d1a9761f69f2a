package realtest

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
)

// units are the files for systemd.
const units = "../../deploy/systemd"

// TestUnitsAreValid lets systemd read the units, for the program of this test.
func TestUnitsAreValid(t *testing.T) {
	needs.Programs(t, "systemd-analyze")
	dir := tempDir(t)
	var files []string
	for _, name := range []string{"segpull.socket", "segpull.service"} {
		text, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/segpull", binary)), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify"}, files...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}

// mostExposure is the bound of systemd-analyze security, from 0 to 100: what it counts are the
// network, Unix sockets for sd_notify, the system's files, and what all of /proc shows.
const mostExposure = "--threshold=12"

// TestTheServiceIsConfined compares what the service may do with a bound.
func TestTheServiceIsConfined(t *testing.T) {
	needs.Programs(t, "systemd-analyze")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", mostExposure, filepath.Join(units, "segpull.service")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Overall exposure level") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSocketActivation starts the server with its first client, as the socket unit does.
func TestSocketActivation(t *testing.T) {
	needs.Programs(t, "systemd-socket-activate")
	h, address := newHome(t), freeAddress(t)
	server := h.command(t, "serve", "--cache-dir", h.path("cache"), "-m", "http://127.0.0.1:1")
	activate := exec.Command("systemd-socket-activate", append([]string{"--listen", address, "--fdname", "images", "-E", "HOME=" + h.settings}, server.Args...)...)
	activate.Env = server.Env
	if err := activate.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(activate) })
	waitFor(t, address)
	client := &http.Client{Timeout: programTimeout}
	resp, err := client.Get("http://" + address + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != "{}" {
		t.Errorf("%s, %q, %v", resp.Status, body, err)
	}
}
