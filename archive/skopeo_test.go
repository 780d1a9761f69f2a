package archive

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/image"
)

// skopeo runs skopeo, another reader of these formats, and returns what it prints. Without it a test is
// skipped, but not in CI.
func skopeo(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("skopeo"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("skopeo is not installed, so no other reader checks the archives")
	}
	out, err := exec.CommandContext(t.Context(), "skopeo", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSkopeoReadsTheArchives(t *testing.T) {
	for _, ref := range []string{"ghcr.io/a/b:1", "b@sha256:" + strings.Repeat("0", 64)} {
		img, blobs := newImage(ref, gzipped("base"), zstandard("middle"), plain("top"), gzipped("base"))
		for transport, f := range map[string]Format{"docker-archive": DockerArchive, "oci-archive": OCIArchive} {
			path := filepath.Join(t.TempDir(), "image.tar")
			must(os.WriteFile(path, write(t, img, f, blobs), 0o644))
			checkConfig(t, transport+":"+path, img, blobs)
			if f == DockerArchive {
				checkConfig(t, "oci-archive:"+path, img, blobs)
			}
		}
		path := filepath.Join(t.TempDir(), "legacy.tar")
		must(os.WriteFile(path, write(t, img, Legacy, blobs), 0o644))
		checkConfig(t, "docker-archive:"+path, img, blobs)
	}
}

func TestSkopeoReadsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, ref := range []string{"a/b:latest", "a/c:latest"} {
		img, blobs := newImage(ref, gzipped(ref))
		addTo(t, dir, img, blobs)
		name := "latest"
		if ref == "a/c:latest" {
			name = "docker.io/a/c:latest"
		}
		checkConfig(t, "oci:"+dir+":"+name, img, blobs)
	}
}

func checkConfig(t *testing.T, source string, img image.Image, blobs memory) {
	t.Helper()
	if got := skopeo(t, "inspect", "--config", "--raw", source); got != string(blobs[img.Config.Digest]) {
		t.Errorf("%s: config %s", source, got)
	}
	out := t.TempDir()
	skopeo(t, "copy", "--quiet", "--insecure-policy", source, "oci:"+out+":copy") // reads every layer
}
