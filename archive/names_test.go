package archive

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

func TestNamesInTheArchive(t *testing.T) {
	by := "@sha256:" + strings.Repeat("0123456789abcdef", 4)
	tests := []struct{ ref, given, repoTags, name, refName string }{
		{"ubuntu", "", `["ubuntu:latest"]`, "docker.io/library/ubuntu:latest", "latest"},
		{"localhost:5000/a/b:c", "", `["localhost:5000/a/b:c"]`, "localhost:5000/a/b:c", "c"},
		{"ghcr.io/a/b:1" + by, "", `["ghcr.io/a/b:1"]`, "ghcr.io/a/b:1", "1"},
		{"ghcr.io/a/b" + by, "", `null`, "", ""},
		{"[::1]:5000/a/b:1", "", `null`, "", ""},
		{"ghcr.io/a/b:1", "app:2", `["app:2"]`, "docker.io/library/app:2", "2"},
		{"ghcr.io/a/b" + by, "quay.io/x/y:2", `["quay.io/x/y:2"]`, "quay.io/x/y:2", "2"},
		{"[::1]:5000/a/b:1", "app:2", `["app:2"]`, "docker.io/library/app:2", "2"},
	}
	for _, tt := range tests {
		img, blobs := newImage(tt.ref, gzipped("x"))
		img.Name = called(tt.given)
		for _, f := range []Format{DockerArchive, Legacy} {
			got := readBack(t, write(t, img, f, blobs))
			if !strings.Contains(string(got.files["manifest.json"]), `"RepoTags":`+tt.repoTags) {
				t.Errorf("%s as %q, %s: manifest.json %s", tt.ref, tt.given, f, got.files["manifest.json"])
			}
			if f == Legacy && (got.headers["repositories"] == nil) != (tt.refName == "") {
				t.Errorf("%s as %q: repositories %s", tt.ref, tt.given, got.files["repositories"])
			}
		}
		dir := t.TempDir()
		addTo(t, dir, img, blobs)
		for what, raw := range map[string][]byte{
			"docker-archive": readBack(t, write(t, img, DockerArchive, blobs)).files["index.json"],
			"oci-archive":    readBack(t, write(t, img, OCIArchive, blobs)).files["index.json"],
			"oci":            readDir(t, dir)["index.json"],
		} {
			var index ocispec.Index
			must(json.Unmarshal(raw, &index))
			if a := index.Manifests[0].Annotations; a[nameAnnotation] != tt.name || a[ocispec.AnnotationRefName] != tt.refName {
				t.Errorf("%s as %q, %s: annotations %v", tt.ref, tt.given, what, a)
			}
		}
	}
}

// called is the name of an image, zero for "".
func called(name string) image.Reference {
	if name == "" {
		return image.Reference{}
	}
	r, err := image.ParseReference(name)
	must(err)
	return r
}

func TestAGivenNameIsTheOneInRepositories(t *testing.T) {
	img, blobs := newImage("ghcr.io/a/b:1", gzipped("x"))
	img.Name = called("app:2")
	got := string(readBack(t, write(t, img, Legacy, blobs)).files["repositories"])
	if !strings.HasPrefix(got, `{"app":{"2":"`) {
		t.Errorf("repositories %s", got)
	}
}

// skopeo takes each archive without a name, and finds the image by the name that the archive gives it.
func TestSkopeoFindsTheImageByItsName(t *testing.T) {
	by := "@sha256:" + strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ ref, given string }{
		{"ghcr.io/a/b:1", ""},
		{"ghcr.io/a/b:1", "app:2"},
		{"ghcr.io/a/b" + by, "app:2"},
		{"[::1]:5000/a/b:1", ""},
		{"[::1]:5000/a/b:1", "app:2"},
	} {
		img, blobs := newImage(tt.ref, gzipped("x"))
		img.Name = called(tt.given)
		for _, f := range []Format{DockerArchive, Legacy} {
			path := filepath.Join(t.TempDir(), "image.tar")
			must(os.WriteFile(path, write(t, img, f, blobs), 0o644))
			checkConfig(t, "docker-archive:"+path, img, blobs)
			if name := img.ArchiveName(); name.Tag != "" {
				checkConfig(t, "docker-archive:"+path+":"+name.Familiar(), img, blobs)
			}
		}
	}
}
