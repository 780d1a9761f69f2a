package segpull_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestAWrongManifestIsPassedOver(t *testing.T) {
	t.Parallel()
	img := registrytest.NewIndex(pulltest.ImageOf(1, 4*kib), registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"}))
	m := pulltest.Serve(t, 2, img)
	// It resolves the tag correctly, and sends another manifest.
	m.Servers[0].Misbehave(registrytest.Wrap(func(next http.Handler) http.Handler {
		other := pulltest.ImageOf(9, 4*kib).Manifest.Bytes()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, img.Images[0].Manifest.Digest.String()) {
				_, _ = w.Write(other)
				return
			}
			next.ServeHTTP(w, r)
		})
	}).On(registrytest.KindManifest))
	r := m.MustPull(t, segpull.Options{})
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img.Images[0])

	_, err := m.Pull(t, segpull.Options{Mirrors: m.URLs[:1]})
	pulltest.WantError(t, err, segpull.ErrMismatch, img.Images[0].Manifest.Digest.String())
}

// TestHostileManifests pulls manifests of a hostile registry: each pull fails at once
// with a reason, and leaves no files.
func TestHostileManifests(t *testing.T) {
	good := pulltest.ImageOf(1, 4*kib)
	edit := func(edit func(*ocispec.Manifest)) []byte {
		return registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64", EditManifest: edit}).Manifest.Bytes()
	}
	index := func(d ocispec.Descriptor) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64"}}]}`,
			ocispec.MediaTypeImageIndex, d.MediaType, d.Digest, d.Size)
	}
	for what, tc := range map[string]struct {
		manifest []byte
		word     string
	}{
		"of 5 MiB":               {bytes.Repeat([]byte(" "), 5*mib), "4 MiB"},
		"empty":                  {nil, "manifest"},
		"no JSON":                {[]byte("hello"), "hello"},
		"nested 100,000 deep":    {[]byte(strings.Repeat(`{"a":`, 100_000)), "manifest"},
		"an array, deep":         {[]byte(strings.Repeat(`[`, 1_000_000)), "manifest"},
		"of schema 1":            {[]byte(`{"schemaVersion":1,"name":"x"}`), "schema 1"},
		"of another kind":        {[]byte(`{"schemaVersion":2,"mediaType":"application/x-nothing"}`), "application/x-nothing"},
		"both things":            {[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"config":{},"layers":[]}`), "ambiguous"},
		"without config":         {[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`), "config"},
		"10,000 layers":          {edit(func(m *ocispec.Manifest) { m.Layers = repeat(m.Layers[0], 10_000) }), "10000 layers"},
		"a negative size":        {edit(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }), "-1"},
		"an absurd size":         {edit(func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 62 }), "size"},
		"a size beyond int64":    {bytes.Replace(good.Manifest.Bytes(), []byte(`"size":`), []byte(`"size":99999999999999999999`), 1), "manifest"},
		"a config of 1 GiB":      {edit(func(m *ocispec.Manifest) { m.Config.Size = 1 << 30 }), "size"},
		"two sizes of a layer":   {edit(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]); m.Layers[1].Size++ }), "two sizes"},
		"SHA-256 in capitals":    {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:" + digest.Digest(strings.Repeat("A", 64)) }), "AAAA"},
		"a digest of a megabyte": {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.Digest("sha256:" + strings.Repeat("0", mib)) }), "digest"},
		"a number of a megabyte": {[]byte(`{"schemaVersion":` + strings.Repeat("9", mib) + `}`), "schemaVersion"},
		"orders to the terminal": {[]byte(`{"schemaVersion":2,"mediaType":"\u001b[2J\u202e` + "\x1b\xff" + `"}`), "manifest"},
		"SHA-512":                {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA512.FromString("x") }), "sha512"},
		"MD5":                    {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }), "md5"},
		"a short digest":         {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:abcd" }), "sha256:abcd"},
		"a path for a digest":    {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" }), "etc/passwd"},
		"no digest":              {edit(func(m *ocispec.Manifest) { m.Config.Digest = "" }), "digest"},
		"an index of what is not there": {
			index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}), "not found",
		},
		"an index of a layer": {index(good.Layers[0].Descriptor), "no image for"},
		"an index of 1 TiB": {
			index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: good.Manifest.Digest, Size: 1 << 40}), "size",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 1, good)
			m.Servers[0].AddManifest(repo, "bad", registrytest.NewBlob("", tc.manifest))
			out := filepath.Join(t.TempDir(), "app.tar")
			began := time.Now()
			_, err := m.Pull(t, segpull.Options{Output: out}, "registry.example/team/app:bad")
			if err == nil {
				t.Fatal("it was taken")
			}
			pulltest.WantPlainWords(t, err.Error())
			if !strings.Contains(err.Error(), tc.word) {
				t.Errorf("said %.1000q", err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			pulltest.WantFiles(t, filepath.Dir(out))
		})
	}
}

func repeat(d ocispec.Descriptor, n int) []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, n)
	for i := range all {
		all[i] = d
	}
	return all
}

func TestAnIndexInItselfEnds(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	// No index can hold its own digest, so the test has a chain of indexes.
	inner := registrytest.NewIndex(pulltest.ImageOf(1, 4*kib)).Manifest
	for range 20 {
		m.Servers[0].AddManifest(repo, "", inner)
		inner = registrytest.NewBlob(ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
			`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageIndex, inner.Digest, inner.Size))
	}
	m.Servers[0].AddManifest(repo, "deep", inner)
	_, err := m.Pull(t, segpull.Options{}, "registry.example/team/app:deep")
	pulltest.WantError(t, err, segpull.ErrPermanent, "deep")
	if n := m.Servers[0].Stats().Requests[registrytest.KindManifest]; n > 5 {
		t.Errorf("%d manifests were asked for", n)
	}
}

func TestAManifestWithoutEndIsBounded(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	m.Servers[0].Misbehave(registrytest.NoContentLength().On(registrytest.KindManifest), registrytest.Endless().On(registrytest.KindManifest))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := m.Pull(t, segpull.Options{})
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("it was taken")
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100*mib {
		t.Errorf("%d MiB were allocated for it", grown/mib)
	}
}

// TestHostileConfigs pulls images with configs that docker load would refuse: formats
// for docker load refuse them, and the other formats keep them unchanged.
func TestHostileConfigs(t *testing.T) {
	t.Parallel()
	for what, config := range map[string]string{
		"empty":               "",
		"no JSON":             "\x1b[2Jhello",
		"nested 100,000 deep": strings.Repeat(`{"a":`, 100_000),
		"deep diff IDs":       `{"rootfs":{"diff_ids":` + strings.Repeat(`[`, 100_000),
		"10,000 diff IDs":     `{"rootfs":{"diff_ids":[` + strings.Repeat(`"x",`, 9_999) + `"x"]}}`,
		"a number":            strings.Repeat("9", mib),
	} {
		for _, format := range []string{"docker-archive", "legacy", "oci", "oci-archive"} {
			t.Run(what+" for "+format, func(t *testing.T) {
				blob := registrytest.NewBlob(ocispec.MediaTypeImageConfig, []byte(config))
				img := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64", EditManifest: func(m *ocispec.Manifest) {
					m.Config = blob.Descriptor
				}})
				m := pulltest.Serve(t, 1, img)
				m.Servers[0].AddBlob(repo, blob)
				out := filepath.Join(t.TempDir(), "out")
				_, err := m.Pull(t, segpull.Options{Format: format, Output: out})
				if strings.HasPrefix(format, "oci") != (err == nil) {
					t.Fatalf("ended with %v", err)
				}
				if err != nil {
					pulltest.WantPlainWords(t, err.Error())
					pulltest.WantFiles(t, filepath.Dir(out), "out.segpull")
				}
			})
		}
	}
}

// TestWordsOfAnImageArePlain pulls an image with texts that look like paths or control
// sequences: none reaches the terminal or a file name.
func TestWordsOfAnImageArePlain(t *testing.T) {
	t.Parallel()
	const evil = "../../evil\x1b[2J\n/etc/cron.d/evil"
	words := map[string]string{ocispec.AnnotationTitle: evil, ocispec.AnnotationRefName: evil, "io.containerd.image.name": evil}
	img := registrytest.NewImage(registrytest.ImageOptions{
		Platform:   "linux/amd64",
		EditConfig: func(c *ocispec.Image) { c.OS, c.Architecture, c.Author, c.Config.Labels = evil, evil, evil, words },
		EditManifest: func(m *ocispec.Manifest) {
			m.Annotations, m.Config.Annotations, m.Layers[0].Annotations = words, words, words
			m.Subject = &ocispec.Descriptor{MediaType: evil, Digest: evil, Annotations: words}
		},
	})
	m := pulltest.Serve(t, 1, img)
	for _, format := range []string{"docker-archive", "legacy", "oci", "oci-archive"} {
		rec := &pulltest.Recorder{}
		out := filepath.Join(t.TempDir(), "out")
		if _, err := m.Pull(t, segpull.Options{Format: format, Output: out, Observer: rec}); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		for _, e := range rec.Events {
			if said := fmt.Sprintf("%+v", e); strings.Contains(said, "evil") {
				t.Errorf("%s: an event says %q", format, said)
			}
		}
		pulltest.WantFiles(t, filepath.Dir(out), "out")
		if format == "oci" {
			continue // os.Root creates the files, and wantFiles checks that they are in it
		}
		for _, name := range namesIn(t, out) {
			if !filepath.IsLocal(name) || strings.Contains(name, "evil") {
				t.Errorf("%s has an entry %q", format, name)
			}
		}
	}
}

// namesIn lists the entries of a tar archive.
func namesIn(t *testing.T, path string) (names []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestNamesWriteNowhereElse(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	dir := t.TempDir()
	t.Chdir(filepath.Join(dir))
	if err := os.Mkdir("in", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"registry.example/..%2f..%2fapp:1", "registry.example/../app:1", `registry.example\..\app:1`, "/etc/passwd", "registry.example/team/app:../1",
		"registry.example/team/app@sha256:../../etc", "registry.example/team/app:..", "registry.example/team/app:1/../2", "registry.example/team/äpp:1",
		"registry.example/team/app:\u202e1", "registry.example/" + strings.Repeat("a", 300) + ":1", "..:1", "registry.example/team/app:1\x00", "registry.example/team/app:1\n", "-o", "registry.example:0x1f/app",
	} {
		results, err := m.Pull(t, segpull.Options{Output: "in/"}, name)
		if err == nil {
			t.Errorf("%q was pulled to %s", name, results[0].Path)
		}
	}
	pulltest.WantFiles(t, "in")
	pulltest.WantFiles(t, ".", "in")
}

// TestOddNamesOfOutputs pulls references that are valid, and whose file names could be
// too long or have another meaning.
func TestOddNamesOfOutputs(t *testing.T) {
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	tag := strings.Repeat("t", 128)
	m.Servers[0].Push(repo, tag, pulltest.ImageOf(1, 4*kib))
	m.Servers[0].Push(repo, "_..", pulltest.ImageOf(1, 4*kib))
	dir := t.TempDir()
	t.Chdir(dir)
	var want []string
	for _, ref := range []string{"con.example/" + repo + ":1", strings.Repeat("h", 150) + ".example/" + repo + ":" + tag, "[::1]:5000/" + repo + ":_.."} {
		results, err := m.Pull(t, segpull.Options{Output: "." + string(filepath.Separator)}, ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		name := results[0].Path
		if !filepath.IsLocal(name) || filepath.Base(name) != name || len(name) > 255 || strings.HasPrefix(name, "con.") {
			t.Errorf("%s was written to %q", ref, name)
		}
		want = append(want, name)
	}
	pulltest.WantFiles(t, ".", want...)
}
