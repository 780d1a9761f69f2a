package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (s *store) Blob(_ context.Context, _ Reference, b ocispec.Descriptor) ([]byte, error) {
	s.blobs = append(s.blobs, b.Digest)
	body, ok := s.bodies[b.Digest]
	if !ok {
		return nil, errNotFound
	}
	return body, nil
}

// Reject reports that no other source is left.
func (*store) Reject(Reference, error) (string, bool) { return "", false }

// imageFor adds a manifest and its config, which gives the platform.
func (s *store) imageFor(platform string) ocispec.Descriptor {
	config := s.add(ocispec.MediaTypeImageConfig, marshal(on(platform, ocispec.Descriptor{}).Platform))
	return s.add(ocispec.MediaTypeImageManifest, marshal(ocispec.Manifest{
		Versioned: versioned(), MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{blob(platform, 1000)},
	}))
}

func TestThePlatformIsTheRealOne(t *testing.T) {
	s := newStore()
	v6 := s.imageFor("linux/arm64") // the index decides
	s.tags["index"] = s.index(on("linux/arm/v6", v6)).Digest
	s.tags["single"] = s.imageFor("linux/arm64").Digest
	s.tags["one"] = s.index(s.imageFor("linux/s390x")).Digest
	s.tags["nested"] = s.index(on("linux/arm/v6", s.index(s.imageFor("linux/riscv64")))).Digest
	s.tags["artifact"] = s.imageFor("/").Digest
	s.tags["evil"] = s.imageFor("../../x").Digest
	s.tags["missing"] = s.manifest("x").Digest
	for tag, want := range map[string]string{
		"index": "linux/arm/v6", "single": "linux/arm64", "one": "linux/s390x", "nested": "linux/arm/v6",
		"artifact": "linux/arm/v7", "evil": "linux/arm/v7", "missing": "linux/arm/v7",
	} {
		s.blobs = nil
		img, err := Resolve(t.Context(), s, mustReference(t, "a/b:"+tag), mustPlatform(t, "linux/arm/v7"))
		if err != nil || len(s.blobs) > 0 {
			t.Errorf("%s: %v, asked for the blobs %v before they were needed", tag, err, s.blobs)
		}
		img, err = ReadPlatform(t.Context(), s, img)
		if err != nil || img.Platform != mustPlatform(t, want) {
			t.Errorf("%s: %v, %v; want %s", tag, img.Platform, err, want)
		}
		if said := tag == "index" || tag == "nested"; said != (len(s.blobs) == 0) {
			t.Errorf("%s: asked for the blobs %v", tag, s.blobs)
		}
		if len(s.blobs) > 0 && tag != "missing" && !bytes.Equal(img.Config.Data, s.bodies[img.Config.Digest]) {
			t.Errorf("%s: the config was not kept", tag)
		}
	}
}

// Resolve does not fetch the config of an image that it refuses.
func TestTheConfigOfABadManifestIsNotFetched(t *testing.T) {
	s := newStore()
	s.tags["latest"] = s.add(ocispec.MediaTypeImageManifest, marshal(ocispec.Manifest{
		Config: blob("c", 1), Layers: []ocispec.Descriptor{blob("x", -1)},
	})).Digest
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b"), Platform{}); err == nil || len(s.blobs) > 0 {
		t.Errorf("asked for %v, then: %v", s.blobs, err)
	}
}

func TestAnIndexWithoutPlatformsIsReadByItsConfigs(t *testing.T) {
	s := newStore()
	amd64, v5, v6, arm64 := s.imageFor("linux/amd64"), s.imageFor("linux/arm/v5"), s.imageFor("linux/arm/v6"), s.imageFor("linux/arm64")
	s.tags["latest"] = s.index(v5, s.imageFor("/"), amd64, v6, s.index(on("linux/mips", v5)), arm64).Digest
	for platform, want := range map[string]ocispec.Descriptor{"linux/amd64": amd64, "linux/arm/v7": v6, "linux/arm/v5": v5, "linux/arm64": arm64} {
		img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, platform))
		if err != nil || img.Manifest.Digest != want.Digest || !bytes.Equal(img.Config.Data, s.bodies[img.Config.Digest]) {
			t.Errorf("%s: %+v, %v", platform, img, err)
		}
		if want.Digest == v6.Digest && img.Platform != mustPlatform(t, "linux/arm/v6") {
			t.Errorf("%s: called %s", platform, img.Platform)
		}
	}
}

func TestAnIndexWithoutPlatformsListsWhatItsConfigsSay(t *testing.T) {
	s := newStore()
	amd64, chart := s.imageFor("linux/amd64"), s.imageFor("/")
	s.tags["latest"] = s.index(amd64, chart).Digest
	_, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/mips"))
	e, ok := errors.AsType[*PlatformError](err)
	if !ok || !slices.Equal(e.Available, []Platform{mustPlatform(t, "linux/amd64")}) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"linux/amd64 (" + amd64.Digest.String() + ")", "no platform (" + chart.Digest.String() + ")"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestAnIndexWithoutPlatformsIsBounded(t *testing.T) {
	s := newStore()
	var wide []ocispec.Descriptor
	for i := range 100 {
		wide = append(wide, s.imageFor(fmt.Sprintf("linux/mips/v%d", i)))
	}
	s.tags["latest"] = s.index(wide...).Digest
	_, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/amd64"))
	if err == nil || len(s.wants) != maxFetches || len(s.blobs) >= maxFetches || !strings.Contains(err.Error(), "more than 16 manifests") {
		t.Errorf("asked for %d manifests and %d configs, then: %v", len(s.wants), len(s.blobs), err)
	}
}

// A manifest without a readable config could fit better than one that fits.
func TestAConfigThatIsMissingLeavesOnlyAnExactFit(t *testing.T) {
	s := newStore()
	s.tags["latest"] = s.index(s.manifest("dark"), s.imageFor("linux/arm/v6"), s.imageFor("linux/arm64")).Digest
	if img, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/arm64")); err != nil || img.Platform != mustPlatform(t, "linux/arm64") {
		t.Errorf("exactly: %v, %v", img.Platform, err)
	}
	if _, err := Resolve(t.Context(), s, mustReference(t, "a/b"), mustPlatform(t, "linux/arm/v7")); !errors.Is(err, errNotFound) {
		t.Errorf("nearly: %v", err)
	}
}

func TestContentInADescriptorIsUsed(t *testing.T) {
	s := newStore()
	m := s.imageFor("linux/amd64")
	full := m
	full.Data = s.bodies[m.Digest]
	wrong := m
	wrong.Data = []byte("not it")
	s.tags["full"] = s.index(on("linux/amd64", full)).Digest
	s.tags["wrong"] = s.index(on("linux/amd64", wrong)).Digest
	for tag, requests := range map[string]int{"full": 1, "wrong": 2} {
		s.wants = nil
		img, err := Resolve(t.Context(), s, mustReference(t, "a/b:"+tag), mustPlatform(t, "linux/amd64"))
		if err != nil || img.Manifest.Digest != m.Digest || !bytes.Equal(img.ManifestBytes, s.bodies[m.Digest]) || len(s.wants) != requests {
			t.Errorf("%s: %+v, %v after %d requests", tag, img.Manifest, err, len(s.wants))
		}
	}

	config := s.add(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"arm64"}`))
	config.Data = s.bodies[config.Digest]
	s.tags["config"] = s.add(ocispec.MediaTypeImageManifest, marshal(ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}})).Digest
	img, err := Resolve(t.Context(), s, mustReference(t, "a/b:config"), mustPlatform(t, "linux/amd64"))
	if err == nil {
		img, err = ReadPlatform(t.Context(), s, img)
	}
	if err != nil || img.Platform != mustPlatform(t, "linux/arm64") || len(s.blobs) > 0 {
		t.Errorf("config: %v, %v, asked for %v", img.Platform, err, s.blobs)
	}
}

func TestInline(t *testing.T) {
	right := ocispec.Descriptor{Digest: digest.FromString("abc"), Size: 3, Data: []byte("abc")}
	short, other, none := right, right, right
	short.Size = 4
	other.Data = []byte("abd")
	none.Data = nil
	for _, d := range []ocispec.Descriptor{short, other, none} {
		if _, ok := Inline(d); ok {
			t.Errorf("%+v was taken", d)
		}
	}
	if data, ok := Inline(right); !ok || string(data) != "abc" {
		t.Errorf("got %q, %t", data, ok)
	}
	if _, ok := Inline(ocispec.Descriptor{Digest: digest.FromBytes(nil)}); !ok {
		t.Error("a blob without bytes has to be fetched")
	}
}
