package segpull_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// odd starts a mirror of m that answers to the tag with these bytes.
func odd(t *testing.T, m *pulltest.Mirrors, body string) (*registrytest.Server, string) {
	t.Helper()
	s := m.Servers[0].Mirror()
	s.Misbehave(registrytest.Wrap(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
	}).On(registrytest.KindManifest).When(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/manifests/1") }))
	return s, s.Start(t)
}

func TestAnOddMirrorEndsNoPull(t *testing.T) {
	t.Parallel()
	img := registrytest.NewIndex(pulltest.ImageOf(1, 4*kib))
	m := pulltest.Serve(t, 1, img)
	elsewhere := registrytest.NewIndex(registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/s390x"}))
	m.Servers[0].Push("team/elsewhere", "", elsewhere)
	for what, tc := range map[string]struct{ body, says string }{
		"an error":         {`{"code":403,"message":"not on the allow list"}`, `it says "not on the allow list"`},
		"schema 1":         {`{"schemaVersion":1,"fsLayers":[]}`, "schema 1"},
		"another platform": {string(elsewhere.Manifest.Bytes()), "no image for linux/amd64; choose"},
		"a missing manifest": {
			`{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` +
				digest.FromString("x").String() + `","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`, "not found on",
		},
	} {
		t.Run(what, func(t *testing.T) {
			_, bad := odd(t, m, tc.body)
			rec := &pulltest.Recorder{}
			r := m.MustPull(t, segpull.Options{Mirrors: []string{bad, m.URLs[0]}, Observer: rec})
			pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img.Images[0])
			if got := pulltest.EventsOf[segpull.Resolved](rec); len(got) != 1 || got[0].Source != m.Name(0) {
				t.Errorf("resolved %+v", got)
			}
			prefix := "mirror " + strings.TrimPrefix(bad, "http://") + ": its answer for registry.example/team/app:1 is not usable: "
			warned := rec.Warnings()
			if !strings.HasPrefix(warned, prefix) || !strings.Contains(warned, tc.says) || !strings.HasSuffix(warned, "; segpull asks the next source") {
				t.Errorf("warned of %q", warned)
			}
			if strings.Contains(warned, "disagree") {
				t.Errorf("a rejected answer counts as an opinion: %q", warned)
			}
		})
	}
}

func TestOddMirrorsAloneAreAllNamed(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	_, denied := odd(t, m, `{"message":"not on the allow list"}`)
	_, old := odd(t, m, `{"schemaVersion":1}`)
	rec := &pulltest.Recorder{}
	_, err := m.Pull(t, segpull.Options{Mirrors: []string{denied, old}, Observer: rec})
	pulltest.WantError(t, err, segpull.ErrPermanent, strings.TrimPrefix(denied, "http://")+": neither", "allow list", "--mirror", strings.TrimPrefix(old, "http://")+": manifest", "schema 1")
	if n := len(pulltest.EventsOf[segpull.Warning](rec)); n != 1 {
		t.Errorf("%d warnings; the error reports the last source", n)
	}
	_, err = m.Pull(t, segpull.Options{Mirrors: []string{denied, "http://127.0.0.1:1"}})
	pulltest.WantError(t, err, segpull.ErrNetwork, "allow list", "127.0.0.1:1")
}

func TestThePlatformInTheNameIsTheRealOne(t *testing.T) {
	m := pulltest.Serve(t, 1, registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"}))
	v6 := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm/v6"})
	m.Servers[0].Push(repo, "index", registrytest.NewIndex(v6))
	for _, tc := range []struct{ tag, asked, platform, file, warns string }{
		{"1", "linux/amd64", "linux/arm64", "registry.example_team_app_1_linux_arm64.tar", "is for linux/arm64, not linux/amd64"},
		{"index", "linux/arm/v7", "linux/arm/v6", "registry.example_team_app_index_linux_arm_v6.tar", ""},
	} {
		t.Chdir(t.TempDir())
		rec := &pulltest.Recorder{}
		results, err := segpull.Pull(t.Context(), segpull.Options{Mirrors: m.URLs, Platform: tc.asked, Observer: rec}, "registry.example/team/app:"+tc.tag)
		if err != nil {
			t.Fatal(err)
		}
		pulltest.WantFiles(t, ".", tc.file)
		resolved := pulltest.EventsOf[segpull.Resolved](rec)[0]
		if results[0].Path != tc.file || results[0].Platform != tc.platform || resolved.Platform != tc.platform || resolved.Path != tc.file {
			t.Errorf("%s: %+v, resolved %+v", tc.tag, results[0], resolved)
		}
		if got := rec.Warnings(); strings.Count(got, "is for") != strings.Count(tc.warns, "is for") || !strings.Contains(got, tc.warns) {
			t.Errorf("%s: warned of %q", tc.tag, got)
		}
	}
}

// An index may give another platform than the config.
func TestAConfigThatContradictsItsIndexIsWarnedOf(t *testing.T) {
	t.Parallel()
	img := registrytest.NewImage(registrytest.ImageOptions{
		Platform: "linux/amd64", EditConfig: func(c *ocispec.Image) { c.Architecture = "arm64" },
	})
	m := pulltest.Serve(t, 1, registrytest.NewIndex(img))
	rec := &pulltest.Recorder{}
	r := m.MustPull(t, segpull.Options{Observer: rec})
	if got := rec.Warnings(); r.Platform != "linux/arm64" || strings.Count(got, "is for linux/arm64, not linux/amd64") != 1 {
		t.Errorf("platform %s, warned of %q", r.Platform, got)
	}
}

func TestAnIndexWithoutPlatformsIsPulledByItsConfigs(t *testing.T) {
	amd, arm := pulltest.ImageOf(1, 4*kib), registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64"})
	m := pulltest.Serve(t, 1, amd)
	m.Servers[0].Push(repo, "", arm)
	m.Servers[0].AddManifest(repo, "bare", registrytest.NewBlob(ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
		`{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d},{"digest":%q,"size":%d}]}`,
		amd.Manifest.Digest, amd.Manifest.Size, arm.Manifest.Digest, arm.Manifest.Size)))
	const bare = "registry.example/team/app:bare"
	t.Chdir(t.TempDir())
	_, err := segpull.Pull(t.Context(), segpull.Options{Mirrors: m.URLs, Platform: "linux/mips"}, bare)
	pulltest.WantError(t, err, segpull.ErrNotFound, "linux/amd64 ("+amd.Manifest.Digest.String()+"), linux/arm64 ("+arm.Manifest.Digest.String()+")")
	m.Servers[0].ResetStats()
	if _, err := segpull.Pull(t.Context(), segpull.Options{Mirrors: m.URLs, Platform: "linux/arm64"}, bare); err != nil {
		t.Fatal(err)
	}
	pulltest.WantFiles(t, ".", "registry.example_team_app_bare_linux_arm64.tar")
	if got := m.SentOf(arm.Config); got != arm.Config.Size {
		t.Errorf("%d bytes of a config of %d were served", got, arm.Config.Size)
	}
}

func TestAPlatformThatNoMirrorHasIsNotFound(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 2, registrytest.NewIndex(pulltest.ImageOf(1, 4*kib)))
	_, err := m.Pull(t, segpull.Options{Platform: "linux/mips"})
	pulltest.WantError(t, err, segpull.ErrNotFound, "registry.example/team/app:1: no image for linux/mips; choose with --platform one of: linux/amd64")
}

// The pull checks the real name before it fetches a layer, and the expected name before the first request.
func TestWhatStandsInTheWayOfTheRealNameIsFoundBefore(t *testing.T) {
	arm := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"})
	m := pulltest.Serve(t, 1, arm)
	t.Chdir(t.TempDir())
	const name = "registry.example_team_app_1_linux_"
	pull := func() error {
		_, err := segpull.Pull(t.Context(), segpull.Options{Mirrors: m.URLs, Platform: "linux/amd64"}, ref)
		return err
	}
	pulltest.Must(t, os.Mkdir(name+"arm64.tar", 0o755))
	pulltest.WantError(t, pull(), segpull.ErrUsage, "arm64.tar is not a regular file")
	if m.ServedBesides(arm) > 0 {
		t.Error("layers were fetched before")
	}
	pulltest.Must(t, os.Mkdir(name+"amd64.tar", 0o755))
	m.Servers[0].ResetStats()
	pulltest.WantError(t, pull(), segpull.ErrUsage, "amd64.tar is not a regular file")
	if n := len(m.Servers[0].Stats().Log); n > 0 {
		t.Errorf("%d requests were made before", n)
	}
}

func TestTwoImagesThatTurnOutToShareANameAreRefused(t *testing.T) {
	m := pulltest.Serve(t, 1, registrytest.NewImage(registrytest.ImageOptions{Platform: "linux_linux/arm64"}))
	m.Servers[0].Push(repo, "1_linux", registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"}))
	t.Chdir(t.TempDir())
	_, err := segpull.Pull(t.Context(), segpull.Options{Mirrors: m.URLs, Platform: "linux/amd64"}, ref, ref+"_linux")
	pulltest.WantError(t, err, segpull.ErrUsage, "two images would be written to")
	pulltest.WantFiles(t, ".")
}

func TestContentInDescriptorsIsNotFetched(t *testing.T) {
	t.Parallel()
	plain := pulltest.ImageOf(1, 4*kib, 5*kib)
	config, layer := make([]byte, plain.Config.Size), make([]byte, plain.Layers[0].Size)
	for b, r := range map[*[]byte]registrytest.Blob{&config: plain.Config, &layer: plain.Layers[0]} {
		if _, err := r.ReadAt(*b, 0); err != nil {
			t.Fatal(err)
		}
	}
	inline := registrytest.NewImage(registrytest.ImageOptions{
		Seed: 1, Layers: []int64{4 * kib, 5 * kib}, Platform: "linux/amd64",
		EditManifest: func(m *ocispec.Manifest) {
			m.Config.Data, m.Layers[0].Data, m.Layers[1].Data = config, layer, []byte("another")
		},
	})
	m := pulltest.Serve(t, 1, registrytest.NewIndex(inline))
	r := m.MustPull(t, segpull.Options{})
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), inline)
	if got := m.ServedBesides(plain); got != plain.Layers[1].Size || m.SentOf(plain.Config) != 0 || r.Resumed != 0 {
		t.Errorf("%d bytes of layers and %d of the config were served, %d resumed", got, m.SentOf(plain.Config), r.Resumed)
	}
}

// The pull fetches the config that gives the platform once.
func TestTheConfigIsFetchedOnce(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*kib)
	m := pulltest.Serve(t, 1, img)
	m.MustPull(t, segpull.Options{})
	if got := m.SentOf(img.Config); got != img.Config.Size {
		t.Errorf("%d bytes of a config of %d were served", got, img.Config.Size)
	}
}

func TestAGivenNameIsInEveryFormat(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*kib)
	m := pulltest.Serve(t, 1, img)
	byDigest := "registry.example/team/app@" + img.Manifest.Digest.String()
	for _, format := range []string{"docker-archive", "legacy", "oci", "oci-archive"} {
		for reference, tag := range map[string]string{ref: "1", byDigest: "latest"} {
			out := filepath.Join(t.TempDir(), "out")
			if _, err := m.Pull(t, segpull.Options{Output: out, Format: format, Name: "mine"}, reference); err != nil {
				t.Fatal(err)
			}
			if listed := fileIn(t, out, "manifest.json"); strings.Contains("docker-archive legacy", format) && !strings.Contains(listed, `"RepoTags":["mine:`+tag+`"]`) {
				t.Errorf("%s: manifest.json %s", format, listed)
			}
			if format == "legacy" {
				continue
			}
			var index ocispec.Index
			pulltest.Must(t, json.Unmarshal([]byte(fileIn(t, out, "index.json")), &index))
			if a := index.Manifests[0].Annotations; a["io.containerd.image.name"] != "docker.io/library/mine:"+tag || a[ocispec.AnnotationRefName] != tag {
				t.Errorf("%s: annotations %v", format, a)
			}
		}
	}
}

// fileIn returns a file of an archive or a layout, or "" if it does not exist.
func fileIn(t *testing.T, archive, name string) string {
	t.Helper()
	body, err := fs.ReadFile(pulltest.Contents(t, archive), name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(body)
}

func TestAnArchiveUnderAnotherNameIsNotUpToDate(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	opts := segpull.Options{Output: filepath.Join(t.TempDir(), "app.tar")}
	m.MustPull(t, opts)
	opts.Name = "mine"
	for _, upToDate := range []bool{false, true} {
		if r := m.MustPull(t, opts); r.UpToDate != upToDate {
			t.Errorf("up to date: %t, want %t", r.UpToDate, upToDate)
		}
	}
	if listed := fileIn(t, opts.Output, "manifest.json"); !strings.Contains(listed, "mine:1") {
		t.Errorf("manifest.json %s", listed)
	}
}

func TestInvalidNames(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	_, err := m.Pull(t, segpull.Options{Name: "mine"}, ref, "registry.example/team/other:1")
	pulltest.WantError(t, err, segpull.ErrUsage, `name "mine" can apply to only one image, and the call has 2`)
	_, err = m.Pull(t, segpull.Options{Name: "Mine"})
	pulltest.WantError(t, err, segpull.ErrUsage, `name "Mine"`)
	_, err = m.Pull(t, segpull.Options{Name: "mine@" + digest.FromString("x").String()})
	pulltest.WantError(t, err, segpull.ErrUsage, "a digest cannot be given")
	if n := len(m.Servers[0].Stats().Log); n > 0 {
		t.Errorf("%d requests were made before", n)
	}
}

func TestAnIPv6AddressIsNoNameInAnArchive(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*kib)
	s := registrytest.New()
	s.Push(repo, "1", img)
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	server.Start()
	t.Cleanup(server.Close)
	m := &pulltest.Mirrors{Servers: []*registrytest.Server{s}, URLs: []string{}}
	reference := listener.Addr().String() + "/team/app:1"
	for name, want := range map[string]string{"": `"RepoTags":null`, "mine": `"RepoTags":["mine:1"]`} {
		rec := &pulltest.Recorder{}
		out := filepath.Join(t.TempDir(), "app.tar")
		if _, err := m.Pull(t, segpull.Options{Output: out, Name: name, Observer: rec}, reference); err != nil {
			t.Fatal(err)
		}
		if listed := fileIn(t, out, "manifest.json"); !strings.Contains(listed, want) {
			t.Errorf("%q: manifest.json %s", name, listed)
		}
		if warned := strings.Contains(rec.Warnings(), "--name"); warned != (name == "") {
			t.Errorf("%q: warned of %q", name, rec.Warnings())
		}
	}
}

func TestTheDigestOfAnIndexIsWarnedOf(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*kib)
	index := registrytest.NewIndex(img)
	m := pulltest.Serve(t, 1, index)
	for d, warns := range map[digest.Digest]bool{index.Manifest.Digest: true, img.Manifest.Digest: false} {
		rec := &pulltest.Recorder{}
		if _, err := m.Pull(t, segpull.Options{Observer: rec}, "registry.example/team/app:1@"+d.String()); err != nil {
			t.Fatal(err)
		}
		got := rec.Warnings()
		if warns != (strings.Contains(got, "that of an index") && strings.Contains(got, "linux/amd64") && strings.Contains(got, img.Manifest.Digest.String())) {
			t.Errorf("%s: warned of %q", d, got)
		}
	}
	rec := &pulltest.Recorder{}
	m.MustPull(t, segpull.Options{Observer: rec})
	if got := rec.Warnings(); got != "" {
		t.Errorf("by tag: warned of %q", got)
	}
}
