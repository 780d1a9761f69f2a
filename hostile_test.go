package segpull_test

import (
	"bytes"
	"fmt"
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
	"github.com/segpull/segpull/internal/registrytest"
)

// TestAHostileMirrorBesideAnHonestOne pulls from a mirror that misbehaves, which
// is named first, and an honest one, which is slow enough for the other to be
// asked. The pull ends right, and soon.
func TestAHostileMirrorBesideAnHonestOne(t *testing.T) {
	img := imageOf(1, 300*kib, 50*kib)
	for what, faults := range map[string][]registrytest.Fault{
		"a captive portal":                   {registrytest.CaptivePortal().On()},
		"a captive portal for blobs":         {registrytest.CaptivePortal()},
		"a wrong Content-Range":              {registrytest.ContentRange(func(start, end, size int64) string { return fmt.Sprintf("bytes %d-%d/%d", start+1, end, size) })},
		"no Content-Range":                   {registrytest.ContentRange(func(int64, int64, int64) string { return "" })},
		"a Content-Range of nonsense":        {registrytest.ContentRange(func(int64, int64, int64) string { return "bytes -9223372036854775808-9223372036854775807/*" })},
		"a wrong total in Content-Range":     {registrytest.ContentRange(func(start, end, _ int64) string { return fmt.Sprintf("bytes %d-%d/%d", start, end-1, int64(1)<<62) })},
		"another range than was asked for":   {registrytest.ShiftRange(1000)},
		"less than was asked for":            {registrytest.ClipRange(1000)},
		"a Content-Length that is too large": {registrytest.ContentLength(1000)},
		"a Content-Length that is too small": {registrytest.ContentLength(-1000)},
		"no Content-Length":                  {registrytest.NoContentLength()},
		"bodies without end":                 {registrytest.NoContentLength(), registrytest.Endless()},
		"headers without end":                {registrytest.EndlessHeaders(0).On()},
		"slow headers without end":           {registrytest.EndlessHeaders(50 * time.Millisecond)},
		"a header of a megabyte":             {registrytest.Header("X-Large", strings.Repeat("x", mib))},
		"gzip":                               {registrytest.GzipEncoding()},
		"redirects in circles":               {registrytest.RedirectLoop().On()},
		"a redirect to a file":               {registrytest.RedirectTo("file:///etc/passwd")},
		"a redirect to ftp":                  {registrytest.RedirectTo("ftp://127.0.0.1/blob")},
		"a redirect to a socket":             {registrytest.RedirectTo("unix:///var/run/docker.sock")},
		"a redirect to nowhere":              {registrytest.RedirectTo("")},
		"a redirect to rubbish":              {registrytest.RedirectTo("http://[::1")},
		"401 in circles":                     {registrytest.Bearer(registrytest.Auth{Lifetime: -1})},
		"a realm that is no URL":             {registrytest.Bearer(registrytest.Auth{Realm: "::"})},
		"a challenge of nonsense":            {registrytest.All(registrytest.Status(401), registrytest.Header("WWW-Authenticate", `Bearer realm="`)).On()},
		"no answer at all":                   {registrytest.Hang().On()},
		"no blob at all":                     {registrytest.Status(404)},
		"every status there is not":          {registrytest.Status(999)},
		"an empty 204":                       {registrytest.Status(204)},
		"a 206 for manifests":                {registrytest.Status(206).On(registrytest.KindManifest)},
		"a trickle":                          {registrytest.Trickle(2000)},
		"a stall":                            {registrytest.StallAfter(10 * kib)},
		"a cut every 40 KiB":                 {registrytest.CutAfter(40 * kib)},
		"patience for ever":                  {registrytest.RetryAfter(429, "99999999999")},
		"a Retry-After of nonsense":          {registrytest.RetryAfter(503, "-1e309")},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := serve(t, 2, img)
			m.servers[0].Misbehave(faults...)
			m.servers[1].Throttle(600 * kib)
			began := time.Now()
			r := m.mustPull(t, segpull.Options{})
			checkDocker(t, contents(t, r.Path), img)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(m.servers[0].Stats().Log) == 0 {
				t.Error("the hostile mirror was not asked")
			}
			if len(r.Liars) > 0 {
				t.Errorf("%q is no liar, only broken", r.Liars)
			}
		})
	}
}

func TestAWrongManifestIsPassedOver(t *testing.T) {
	t.Parallel()
	img := registrytest.NewIndex(imageOf(1, 4*kib), registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"}))
	m := serve(t, 2, img)
	// It tells the truth about the tag, and lies about the manifest.
	m.servers[0].Misbehave(registrytest.Wrap(func(next http.Handler) http.Handler {
		lie := imageOf(9, 4*kib).Manifest.Bytes()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, img.Images[0].Manifest.Digest.String()) {
				_, _ = w.Write(lie)
				return
			}
			next.ServeHTTP(w, r)
		})
	}).On(registrytest.KindManifest))
	r := m.mustPull(t, segpull.Options{})
	checkOCI(t, contents(t, r.Path), img.Images[0])

	_, err := m.pull(t, segpull.Options{Mirrors: m.urls[:1]})
	wantCode(t, err, segpull.ExitMismatch, img.Images[0].Manifest.Digest.String())
}

// TestHostileManifests pulls manifests that a registry may make up: each is
// refused with a reason, at once, and leaves nothing behind.
func TestHostileManifests(t *testing.T) {
	good := imageOf(1, 4*kib)
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
		"of 5 MiB":             {bytes.Repeat([]byte(" "), 5*mib), "4 MiB"},
		"empty":                {nil, "manifest"},
		"no JSON":              {[]byte("hello"), "hello"},
		"nested 100,000 deep":  {[]byte(strings.Repeat(`{"a":`, 100_000)), "manifest"},
		"an array, deep":       {[]byte(strings.Repeat(`[`, 1_000_000)), "manifest"},
		"of schema 1":          {[]byte(`{"schemaVersion":1,"name":"x"}`), "schema 1"},
		"of another kind":      {[]byte(`{"schemaVersion":2,"mediaType":"application/x-nothing"}`), "application/x-nothing"},
		"both things":          {[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"config":{},"layers":[]}`), "ambiguous"},
		"without config":       {[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`), "config"},
		"10,000 layers":        {edit(func(m *ocispec.Manifest) { m.Layers = repeat(m.Layers[0], 10_000) }), "10000 layers"},
		"a negative size":      {edit(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }), "-1"},
		"an absurd size":       {edit(func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 62 }), "size"},
		"a size beyond int64":  {bytes.Replace(good.Manifest.Bytes(), []byte(`"size":`), []byte(`"size":99999999999999999999`), 1), "manifest"},
		"a config of 1 GiB":    {edit(func(m *ocispec.Manifest) { m.Config.Size = 1 << 30 }), "size"},
		"two sizes of a layer": {edit(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]); m.Layers[1].Size++ }), "two sizes"},
		"SHA-512":              {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA512.FromString("x") }), "sha512"},
		"MD5":                  {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }), "md5"},
		"a short digest":       {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:abcd" }), "sha256:abcd"},
		"a path for a digest":  {edit(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" }), "etc/passwd"},
		"no digest":            {edit(func(m *ocispec.Manifest) { m.Config.Digest = "" }), "digest"},
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
			m := serve(t, 1, good)
			m.servers[0].AddManifest(repo, "bad", registrytest.NewBlob("", tc.manifest))
			out := filepath.Join(t.TempDir(), "app.tar")
			began := time.Now()
			_, err := m.pull(t, segpull.Options{Output: out}, "registry.example/team/app:bad")
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), tc.word) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
				t.Errorf("said %q", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			wantFiles(t, filepath.Dir(out))
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
	m := serve(t, 1, imageOf(1, 4*kib))
	// No index can hold its own digest, so a chain of indexes stands for it.
	inner := registrytest.NewIndex(imageOf(1, 4*kib)).Manifest
	for range 20 {
		m.servers[0].AddManifest(repo, "", inner)
		inner = registrytest.NewBlob(ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
			`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageIndex, inner.Digest, inner.Size))
	}
	m.servers[0].AddManifest(repo, "deep", inner)
	_, err := m.pull(t, segpull.Options{}, "registry.example/team/app:deep")
	wantCode(t, err, 1, "deep")
	if n := m.servers[0].Stats().Requests[registrytest.KindManifest]; n > 5 {
		t.Errorf("%d manifests were asked for", n)
	}
}

func TestAManifestWithoutEndIsBounded(t *testing.T) {
	m := serve(t, 1, imageOf(1, 4*kib))
	m.servers[0].Misbehave(registrytest.NoContentLength().On(registrytest.KindManifest), registrytest.Endless().On(registrytest.KindManifest))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := m.pull(t, segpull.Options{})
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("it was taken")
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100*mib {
		t.Errorf("%d MiB were allocated for it", grown/mib)
	}
}

func TestNamesWriteNowhereElse(t *testing.T) {
	m := serve(t, 1, imageOf(1, 4*kib))
	dir := t.TempDir()
	t.Chdir(filepath.Join(dir))
	if err := os.Mkdir("in", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"registry.example/..%2f..%2fapp:1", "registry.example/../app:1", `registry.example\..\app:1`, "/etc/passwd", "registry.example/team/app:../1",
		"registry.example/team/app@sha256:../../etc", "registry.example/team/app:1\x00", "registry.example/team/app:1\n", "-o", "registry.example:0x1f/app",
	} {
		results, err := m.pull(t, segpull.Options{Output: "in/"}, name)
		if err == nil {
			t.Errorf("%q was pulled to %s", name, results[0].Path)
		}
	}
	wantFiles(t, "in")
	wantFiles(t, ".", "in")
}
