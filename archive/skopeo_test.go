package archive

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/needs"
)

// skopeo runs skopeo, another reader of these formats, and returns what it prints. Without it a test is
// skipped, but not in CI.
func skopeo(t *testing.T, args ...string) string {
	t.Helper()
	needs.Programs(t, "skopeo")
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

// An index keeps its digest, also where the layout lacks the image of another platform.
func TestSkopeoReadsAnIndexInTheDirectory(t *testing.T) {
	img, blobs := newImage("a/b:1", gzipped("x"))
	blobs[img.Manifest.Digest] = img.ManifestBytes
	here, absent := img.Manifest, img.Manifest
	here.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	absent.Digest, absent.Platform = digest.FromString("absent"), &ocispec.Platform{OS: "linux", Architecture: "s390x"}
	root := blobs.add(ocispec.MediaTypeImageIndex, encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{absent, here},
	}))
	dir := t.TempDir()
	must(WriteTree(t.Context(), dir, img.Reference, root, append(img.Blobs(), img.Manifest), blobs))
	checkConfig(t, "oci:"+dir+":1", img, blobs)
	if raw := skopeo(t, "inspect", "--raw", "oci:"+dir+":1"); raw != string(blobs[root.Digest]) {
		t.Errorf("the image is %s, want the index", raw)
	}
}
