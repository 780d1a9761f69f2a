package realtest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// A browser shows the page of --report, in light and in dark, and complains of nothing.
// REPORT_SCREENSHOTS names a directory to keep the pictures in.
func TestABrowserShowsTheReport(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "chromium")
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{6 * mib, 2 * mib}})
	first := registrytest.New()
	first.Push("library/app", "1", img)
	second, wrong := first.Mirror(), first.Mirror()
	first.Throttle(4 * mib)
	second.Throttle(2 * mib)
	second.Misbehave(registrytest.Status(503).On(registrytest.KindBlob).Times(3))
	wrong.Misbehave(registrytest.Flip(100, 200))
	h := newHome(t)
	h.pull(t, "-m", first.Start(t), "-m", second.Start(t), "-m", wrong.Start(t), "--report", "report.html", "app:1")

	page := chromium(t, h, "--dump-dom")
	for _, want := range []string{"Complete after", "app:1", "sent wrong bytes", "503", "segpull -m http"} {
		if !strings.Contains(page, want) {
			t.Errorf("the browser's page lacks %q", want)
		}
	}
	pictures := os.Getenv("REPORT_SCREENSHOTS")
	if pictures == "" {
		pictures = t.TempDir()
	}
	for scheme, c := range map[string]struct {
		flag       string
		background color.RGBA
		lane       color.RGBA // of the first mirror
	}{
		"dark":  {"--blink-settings=preferredColorScheme=0", color.RGBA{0x0d, 0x11, 0x17, 0xff}, color.RGBA{0x3a, 0x9b, 0xdc, 0xff}},
		"light": {"--blink-settings=preferredColorScheme=1", color.RGBA{0xff, 0xff, 0xff, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff}},
	} {
		path := filepath.Join(pictures, scheme+".png")
		chromium(t, h, c.flag, "--window-size=1100,1500", "--hide-scrollbars", "--screenshot="+path)
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shot, err := png.Decode(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := color.RGBAModel.Convert(shot.At(2, 2)); got != c.background {
			t.Errorf("%s: the background is %v, want %v", scheme, got, c.background)
		}
		// Its requests, and its share of the throughput and of the layers.
		if n := pixels(shot, c.lane); n < 5000 {
			t.Errorf("%s: %d pixels have the colour of the first mirror", scheme, n)
		}
	}
}

// chromium opens report.html, and returns what it printed. It fails if the page's console
// has a message, such as one about what its policy forbids.
func chromium(t *testing.T, h home, args ...string) string {
	t.Helper()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
	}, append(args, (&url.URL{Scheme: "file", Path: h.path("report.html")}).String())...)
	cmd := exec.CommandContext(t.Context(), "chromium", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(programTimeout, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "CONSOLE") {
		t.Fatalf("chromium %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String()
}

// pixels counts the pixels of a colour.
func pixels(shot image.Image, want color.RGBA) (n int) {
	for y := range shot.Bounds().Dy() {
		for x := range shot.Bounds().Dx() {
			if color.RGBAModel.Convert(shot.At(x, y)) == want {
				n++
			}
		}
	}
	return n
}
