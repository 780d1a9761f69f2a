package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// store is a registry in memory. It does what Fetcher requires, and counts.
type store struct {
	tags   map[string]digest.Digest
	bodies map[digest.Digest][]byte
	types  map[digest.Digest]string // Content-Type
	wants  []ocispec.Descriptor
	blobs  []digest.Digest // asked for
}

func newStore() *store {
	return &store{tags: map[string]digest.Digest{}, bodies: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}}
}

func (s *store) add(contentType string, body []byte) ocispec.Descriptor {
	d := digest.FromBytes(body)
	s.bodies[d], s.types[d] = body, contentType
	return ocispec.Descriptor{MediaType: contentType, Digest: d, Size: int64(len(body))}
}

func (s *store) Fetch(_ context.Context, ref Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	s.wants = append(s.wants, want)
	d := want.Digest
	if d == "" {
		d = s.tags[ref.Tag]
	}
	body, ok := s.bodies[d]
	if !ok {
		return ocispec.Descriptor{}, nil, errNotFound
	}
	return ocispec.Descriptor{MediaType: s.types[d], Digest: d, Size: int64(len(body))}, body, nil
}

var errNotFound = errors.New("not found")

func blob(content string, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString(content), Size: size}
}

// manifest adds an OCI manifest with one layer named after its content.
func (s *store) manifest(content string) ocispec.Descriptor {
	return s.add(ocispec.MediaTypeImageManifest, marshal(ocispec.Manifest{
		Versioned: versioned(), MediaType: ocispec.MediaTypeImageManifest,
		Config: blob("config of "+content, 100), Layers: []ocispec.Descriptor{blob(content, 1000)},
	}))
}

func (s *store) index(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return s.add(ocispec.MediaTypeImageIndex, marshal(ocispec.Index{
		Versioned: versioned(), MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	}))
}

func versioned() (v struct {
	SchemaVersion int `json:"schemaVersion"`
},
) {
	v.SchemaVersion = 2
	return v
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func on(platform string, d ocispec.Descriptor) ocispec.Descriptor {
	parts := append(strings.Split(platform, "/"), "")
	d.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	return d
}

func TestResolveTakesThePlatformOfAnIndex(t *testing.T) {
	s := newStore()
	amd64, arm, arm64 := s.manifest("amd64"), s.manifest("armv7"), s.manifest("arm64")
	attestation := s.manifest("attestation")
	s.tags["22.04"] = s.index(
		on("unknown/unknown", attestation), on("linux/amd64", amd64), on("linux/arm/v7", arm), on("linux/arm64/v8", arm64),
	).Digest
	ref := mustReference(t, "ubuntu:22.04")
	for platform, want := range map[string]ocispec.Descriptor{"linux/amd64": amd64, "linux/arm": arm, "linux/arm64": arm64} {
		s.wants = nil
		img, err := Resolve(t.Context(), s, ref, mustPlatform(t, platform))
		if err != nil {
			t.Fatal(err)
		}
		if img.Manifest.Digest != want.Digest || img.Digest != s.tags["22.04"] || img.Platform != mustPlatform(t, platform) {
			t.Errorf("%s: got %+v", platform, img)
		}
		if digest.FromBytes(img.ManifestBytes) != want.Digest || img.Manifest.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("%s: the manifest is not the one served", platform)
		}
		if len(s.wants) != 2 || s.wants[0].Digest != "" || s.wants[1].Digest != want.Digest || s.wants[1].Size != want.Size {
			t.Errorf("%s: asked for %+v; the tag may be asked for once", platform, s.wants)
		}
	}
}

func TestResolveByDigestNeverAsksForTheTag(t *testing.T) {
	s := newStore()
	d := s.manifest("x")
	img, err := Resolve(t.Context(), s, mustReference(t, "a/b:moved@"+d.Digest.String()), Platform{})
	if err != nil || img.Digest != d.Digest || img.Platform != DefaultPlatform() {
		t.Fatalf("got %+v, %v", img, err)
	}
	if len(s.wants) != 1 || s.wants[0].Digest != d.Digest {
		t.Errorf("asked for %+v", s.wants)
	}
}

func TestResolveTakesAManifestWithoutIndexAsItIs(t *testing.T) {
	s := newStore()
	s.tags["latest"] = s.manifest("for amd64").Digest
	img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/s390x"))
	if err != nil || len(img.Layers) != 1 {
		t.Fatalf("got %+v, %v", img, err)
	}
}

func TestResolveFallsBackToAnEarlierVariant(t *testing.T) {
	s := newStore()
	v5, v6 := s.manifest("v5"), s.manifest("v6")
	s.tags["latest"] = s.index(on("linux/arm/v5", v5), on("linux/arm/v6", v6), on("linux/arm64", s.manifest("64"))).Digest
	img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/arm/v7"))
	if err != nil || img.Manifest.Digest != v6.Digest {
		t.Errorf("got %+v, %v", img.Manifest, err)
	}
}

func TestResolveListsThePlatformsThereAre(t *testing.T) {
	s := newStore()
	m := s.manifest("x")
	nested := s.index(on("linux/s390x", m))
	s.tags["latest"] = s.index(
		on("linux/amd64", m), on("linux/arm64/v8", m), on("linux/amd64", m), on("unknown/unknown", m), on("\x1b[2J/evil", m), nested,
	).Digest
	_, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/mips"))
	missing, ok := errors.AsType[*PlatformError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []Platform{mustPlatform(t, "linux/amd64"), mustPlatform(t, "linux/arm64"), mustPlatform(t, "linux/s390x")}
	if !slices.Equal(missing.Available, want) || missing.Wanted != mustPlatform(t, "linux/mips") {
		t.Errorf("got %+v", missing)
	}
	const says = "docker.io/a/b:latest: no image for linux/mips; choose with --platform one of: linux/amd64, linux/arm64, linux/s390x"
	if err.Error() != says {
		t.Errorf("got %q", err)
	}
}

func TestResolveOfAnIndexWithoutImages(t *testing.T) {
	s := newStore()
	s.tags["latest"] = s.index().Digest
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{}); err == nil || !strings.Contains(err.Error(), "none for any") {
		t.Errorf("got %v", err)
	}
}

func TestResolveFollowsNestedIndexes(t *testing.T) {
	s := newStore()
	m := s.manifest("x")
	inner := s.index(on("linux/amd64", m))
	other := s.index(on("linux/arm64", s.manifest("y")))
	s.tags["two"] = s.index(other, inner).Digest
	s.tags["three"] = s.index(s.index(inner)).Digest
	amd64 := mustPlatform(t, "linux/amd64")
	if img, err := Resolve(t.Context(), s, mustReference(t, "a/b:two"), amd64); err != nil || img.Manifest.Digest != m.Digest {
		t.Errorf("two deep: %+v, %v", img.Manifest, err)
	}
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b:three"), amd64); err == nil || !strings.Contains(err.Error(), "more than 2 deep") {
		t.Errorf("three deep: %v", err)
	}
}

func TestResolveTakesTheOnlyManifestThatNamesNoPlatform(t *testing.T) {
	s := newStore()
	m := s.manifest("x")
	s.tags["one"] = s.index(m, on("unknown/unknown", s.manifest("provenance"))).Digest
	s.tags["two"] = s.index(m, s.manifest("y")).Digest
	if img, err := Resolve(t.Context(), s, mustReference(t, "a/b:one"), Platform{}); err != nil || img.Manifest.Digest != m.Digest {
		t.Errorf("one: %+v, %v", img.Manifest, err)
	}
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b:two"), Platform{}); err == nil {
		t.Error("two: one of them was guessed")
	}
}

// selfish answers each request with one index that names itself, which is impossible with a real SHA-256.
type selfish struct {
	store
	asked int
}

func (s *selfish) Fetch(context.Context, Reference, ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	s.asked++
	self := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: someDigest, Size: 10}
	return self, marshal(ocispec.Index{Versioned: versioned(), Manifests: []ocispec.Descriptor{self, self, self}}), nil
}

func TestResolveEndsOnAnIndexThatPointsToItself(t *testing.T) {
	s := &selfish{}
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{}); err == nil || s.asked > maxFetches {
		t.Errorf("asked %d times, then: %v", s.asked, err)
	}
}

func TestResolveBoundsTheRequestsOfAWideIndex(t *testing.T) {
	s := newStore()
	var wide []ocispec.Descriptor
	for i := range 100 {
		wide = append(wide, s.index(on("linux/mips", s.manifest(fmt.Sprint(i)))))
	}
	s.tags["latest"] = s.index(wide...).Digest
	_, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/amd64"))
	if err == nil || len(s.wants) != maxFetches {
		t.Errorf("asked %d times, then: %v", len(s.wants), err)
	}
}

func TestResolveKeepsTheFetchersError(t *testing.T) {
	_, err := Resolve(t.Context(), newStore(), mustReference(t, "a/b"), Platform{})
	if !errors.Is(err, errNotFound) || !strings.Contains(err.Error(), "docker.io/a/b:latest") {
		t.Errorf("got %v", err)
	}
}

func TestResolveReportsTheKindOfDocument(t *testing.T) {
	layerless := `"config":{"digest":"` + someDigest.String() + `","size":2},"layers":[]`
	tests := []struct {
		name, contentType, body string
		mediaType, says         string // one of them
	}{
		{"the body's word counts first", "text/plain", `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `",` + layerless + `}`, MediaTypeDockerManifest, ""},
		{"then Content-Type", MediaTypeDockerManifest + "; charset=utf-8", `{"schemaVersion":2,` + layerless + `}`, MediaTypeDockerManifest, ""},
		{"then the fields", "application/json", `{"schemaVersion":2,` + layerless + `}`, ocispec.MediaTypeImageManifest, ""},
		{"schema 1 by version", "text/plain", `{"schemaVersion":1,"fsLayers":[]}`, "", "schema 1"},
		{"schema 1 by Content-Type", dockerSchema1JWS, `{}`, "", "schema 1"},
		{"an artifact", "", `{"mediaType":"application/vnd.oci.artifact.manifest.v1+json"}`, "", "neither"},
		{"an error page", "text/html", "<html>\x1b[2Jlog in</html>", "", "a web page"},
		{"an empty object", "", `{}`, "", "neither"},
		{"null", "", `null`, "", "neither"},
		{"an error", "application/json", `{"code":403,"message":"not on the allow list"}`, "", "neither an image manifest nor an index; it says \"not on the allow list\""},
		{"an error that claims to be a manifest", ocispec.MediaTypeImageManifest, `{"code":403,"msg":"not on the allow list"}`, "", `it says "not on the allow list"`},
		{"a list of errors", "", `[{"error":{"reason":"gone"}}]`, "", `neither an image manifest nor an index; it says "gone"`},
		{"an error where a config belongs", "", `{"config":"x","detail":"no such image"}`, "", `it says "no such image"`},
		{"a string", "", `"come back later"`, "", `it says "\"come back later\""`},
		{"nothing", ocispec.MediaTypeImageManifest, "", "", "empty"},
		{"white space", ocispec.MediaTypeImageManifest, " \r\n\t", "", "empty"},
		{"cut off", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,`, "", "unexpected end"},
		{"both kinds at once", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"manifests":[],` + layerless + `}`, "", "ambiguous"},
		{"both kinds the other way", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],` + layerless + `}`, "", "ambiguous"},
		{"no config", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"layers":[]}`, "", "without a config"},
		{"a number without end", "", `{"schemaVersion":` + strings.Repeat("9", 1<<20) + `}`, "", "schemaVersion"},
		{"a media type without end", "", `{"mediaType":"\u001b[2J` + strings.Repeat("x", 1<<20) + `"}`, "", "neither"},
		{"a digest without end", ocispec.MediaTypeImageManifest, `{"config":{"digest":"sha256:\u001b[2J` + strings.Repeat("0", 1<<20) + `"}}`, "", "digest"},
		{"a size that is not an integer", ocispec.MediaTypeImageManifest, `{"config":{"digest":"` + someDigest.String() + `","size":1.5}}`, "", "1.5"},
		{"a list for a config", ocispec.MediaTypeImageManifest, `{"config":[]}`, "", "array"},
		{"too big", ocispec.MediaTypeImageManifest, `{` + strings.Repeat(" ", MaxManifestSize) + `}`, "", "at most"},
		{"too deep", ocispec.MediaTypeImageManifest, `{"annotations":` + strings.Repeat("[", 20000), "", "depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore()
			s.tags["latest"] = s.add(tt.contentType, []byte(tt.body)).Digest
			img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{})
			if tt.says == "" {
				if err != nil || img.Manifest.MediaType != tt.mediaType {
					t.Errorf("got %q, %v", img.Manifest.MediaType, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 500 {
				t.Errorf("got %.1000v, want one clean, short line that says %q", err, tt.says)
			}
		})
	}
}

// Docker, containerd and podman use the same JSON package, so odd JSON means the same to them. The bytes do
// not change.
func TestResolveReadsOddJSONAsDockerDoes(t *testing.T) {
	body := []byte(`{"schemaVersion":2,"config":{"digest":"` + someDigest.String() + `","size":2},"layers":[],` +
		`"annotations":{"a":"` + "\xff\xfe" + `","a":"\ud800"},"LAYERS":[{"digest":"` + someDigest.String() + `","size":2}],"layers":[]}`)
	s := newStore()
	s.tags["latest"] = s.add(ocispec.MediaTypeImageManifest, body).Digest
	img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{})
	if err != nil || len(img.Layers) != 0 || !bytes.Equal(img.ManifestBytes, body) {
		t.Errorf("got %d layers, %v", len(img.Layers), err)
	}
}

func TestResolveRefusesManifestsOutOfBounds(t *testing.T) {
	good := blob("x", 10)
	with := func(change func(*ocispec.Descriptor)) []ocispec.Descriptor {
		d := good
		change(&d)
		return []ocispec.Descriptor{d}
	}
	tests := []struct {
		name   string
		config ocispec.Descriptor
		layers []ocispec.Descriptor
		says   string
	}{
		{"negative size", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Size = -1 }), "size is -1"},
		{"absurd size", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Size = 1<<40 + 1 }), "size is"},
		{"no bytes", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Size = 0 }), "size is 0"},
		{"bytes of nothing", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Digest = digest.FromBytes(nil) }), "size is 10"},
		{"no digest", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Digest = "" }), "no digest"},
		{"a path for a digest", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../etc/passwd" }), "digest"},
		{"upper case", blob("c", 1), with(func(d *ocispec.Descriptor) { d.Digest = "sha256:" + digest.Digest(strings.Repeat("A", 64)) }), "digest"},
		{"two sizes", blob("c", 1), []ocispec.Descriptor{good, blob("x", 11)}, "two sizes"},
		{"config as layer with another size", blob("x", 1), []ocispec.Descriptor{good}, "two sizes"},
		{"too many layers", blob("c", 1), slices.Repeat([]ocispec.Descriptor{good}, MaxLayers+1), "1001 layers"},
		{"big config", blob("c", MaxConfigSize+1), nil, "config"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore()
			s.tags["latest"] = s.add(ocispec.MediaTypeImageManifest, marshal(ocispec.Manifest{
				Versioned: versioned(), Config: tt.config, Layers: tt.layers,
			})).Digest
			if _, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{}); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func TestResolveChecksAnIndexEntryBeforeAsking(t *testing.T) {
	s := newStore()
	entry := on("linux/amd64", s.manifest("x"))
	entry.Size = MaxManifestSize + 1
	s.tags["latest"] = s.index(entry).Digest
	_, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/amd64"))
	if err == nil || len(s.wants) != 1 {
		t.Errorf("asked %d times, then: %v", len(s.wants), err)
	}
}

func TestBlobsNamesEachDigestOnce(t *testing.T) {
	a, b, config := blob("a", 1), blob("b", 2), blob("c", 3)
	img := Image{Config: config, Layers: []ocispec.Descriptor{a, b, a}}
	var got []digest.Digest
	for _, d := range img.Blobs() {
		got = append(got, d.Digest)
	}
	if want := []digest.Digest{config.Digest, a.Digest, b.Digest}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzResolve(f *testing.F) {
	s := newStore()
	f.Add(string(s.bodies[s.manifest("x").Digest]), ocispec.MediaTypeImageManifest)
	f.Add(string(s.bodies[s.index(on("linux/amd64", s.manifest("x")), s.manifest("y")).Digest]), "")
	f.Add(`{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]}`, dockerSchema1)
	f.Add(`{"manifests":[{"platform":null},{"size":-1}]}`, MediaTypeDockerList)
	f.Add(`{"config":{"digest":"sha256:"},"layers":[{"size":1e99}]}`, "a/b; c")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		s := newStore()
		s.tags["latest"] = s.add(contentType, []byte(body)).Digest
		img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{})
		if err != nil {
			if strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > 10_000 {
				t.Errorf("the error %q is long, or holds what a terminal would obey", err)
			}
			return
		}
		if err := img.Validate(); err != nil {
			t.Errorf("resolved, but: %v", err)
		}
		if len(s.wants) > maxFetches {
			t.Errorf("%d manifests were asked for", len(s.wants))
		}
	})
}
