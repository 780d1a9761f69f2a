package image

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mirrors are sources in order: the first that is not rejected answers to the tag, and any of them answers
// to a digest.
type mirrors struct {
	names    []string
	sources  []*store
	rejected []error
	fails    error // of the source after the last one
}

func (m *mirrors) Fetch(ctx context.Context, ref Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if want.Digest == "" && len(m.rejected) == len(m.sources) {
		return ocispec.Descriptor{}, nil, m.fails
	}
	if want.Digest == "" {
		return m.sources[len(m.rejected)].Fetch(ctx, ref, want)
	}
	for _, s := range m.sources {
		if d, body, err := s.Fetch(ctx, ref, want); err == nil {
			return d, body, nil
		}
	}
	return ocispec.Descriptor{}, nil, withdrawn{}
}

func (m *mirrors) Blob(ctx context.Context, ref Reference, b ocispec.Descriptor) ([]byte, error) {
	return m.sources[0].Blob(ctx, ref, b)
}

func (m *mirrors) Reject(_ Reference, err error) (string, bool) {
	m.rejected = append(m.rejected, err)
	return m.names[len(m.rejected)-1], len(m.rejected) < len(m.sources) || m.fails != nil
}

// withdrawn is the error of a manifest that the source of its tag does not have.
type withdrawn struct{}

func (withdrawn) Error() string   { return "not found on any" }
func (withdrawn) Withdrawn() bool { return true }

// answering returns a source that answers to the tag latest with this body.
func answering(body []byte) *store {
	s := newStore()
	s.tags["latest"] = s.add("application/json", body).Digest
	return s
}

// good returns a source that has an image for linux/amd64.
func good() *store {
	s := newStore()
	s.tags["latest"] = s.index(on("linux/amd64", s.manifest("amd64"))).Digest
	return s
}

func among(sources ...*store) *mirrors {
	return &mirrors{names: []string{"one", "two", "three"}, sources: sources}
}

func TestAnAnswerThatIsNoImagePassesToTheNextSource(t *testing.T) {
	elsewhere := newStore()
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: someDigest, Size: 7}
	tests := map[string][]byte{
		"an error":          []byte(`{"code":403,"message":"not on the allow list"}`),
		"schema 1":          []byte(`{"schemaVersion":1,"fsLayers":[]}`),
		"a page":            []byte(`<html>log in</html>`),
		"nothing":           nil,
		"another platform":  marshal(ocispec.Index{Manifests: []ocispec.Descriptor{on("linux/s390x", elsewhere.manifest("x"))}}),
		"no such manifest":  marshal(ocispec.Index{Manifests: []ocispec.Descriptor{on("linux/amd64", missing)}}),
		"an entry's size":   marshal(ocispec.Index{Manifests: []ocispec.Descriptor{on("linux/amd64", blob("x", -1))}}),
		"a layer's size":    marshal(ocispec.Manifest{Config: blob("c", 1), Layers: []ocispec.Descriptor{blob("x", -1)}}),
		"a config too big":  marshal(ocispec.Manifest{Config: blob("c", MaxConfigSize+1), Layers: []ocispec.Descriptor{}}),
		"indexes in indexe": marshal(ocispec.Index{Manifests: []ocispec.Descriptor{elsewhere.index(elsewhere.index(good().add(ocispec.MediaTypeImageIndex, []byte("x"))))}}),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			odd, sound := answering(body), good()
			for d, b := range elsewhere.bodies {
				odd.bodies[d] = b
			}
			m := among(odd, sound)
			img, err := Resolve(t.Context(), m, mustReference(t, "a/b"), mustPlatform(t, "linux/amd64"))
			if err != nil || img.Digest != sound.tags["latest"] || len(m.rejected) != 1 {
				t.Errorf("got %v, %v, rejected %q", img.Digest, err, m.rejected)
			}
		})
	}
}

// Each source has its own limit of requests.
func TestEachSourceMayHaveAWideIndex(t *testing.T) {
	wide := newStore()
	var indexes []ocispec.Descriptor
	for i := range maxFetches {
		indexes = append(indexes, wide.index(on("linux/mips", wide.manifest(string(rune('a'+i))))))
	}
	wide.tags["latest"] = wide.index(indexes...).Digest
	img, err := Resolve(t.Context(), among(wide, good()), mustReference(t, "a/b"), mustPlatform(t, "linux/amd64"))
	if err != nil || len(img.Layers) != 1 {
		t.Errorf("got %+v, %v", img, err)
	}
}

func TestWhenAllAreRejectedEachIsNamed(t *testing.T) {
	denied, old := answering([]byte(`{"message":"not on the allow list"}`)), answering([]byte(`{"schemaVersion":1}`))
	_, err := Resolve(t.Context(), among(denied, old), mustReference(t, "a/b"), Platform{})
	all, ok := errors.AsType[*RejectedError](err)
	if !ok || !all.Permanent() {
		t.Fatalf("got %v", err)
	}
	one, two := strings.Index(err.Error(), "one: "), strings.Index(err.Error(), "two: ")
	if one < 0 || two < one || !strings.Contains(err.Error()[one:two], "allow list") || !strings.Contains(err.Error()[two:], "schema 1") {
		t.Errorf("got %v", err)
	}
	unusable, ok := errors.AsType[*UnusableError](err)
	if !ok || !unusable.Permanent() || unusable.Text != "not on the allow list" {
		t.Errorf("the first reason is %+v", unusable)
	}
}

func TestOneSourceAloneIsExplainedWithoutAList(t *testing.T) {
	_, err := Resolve(t.Context(), among(answering([]byte(`{"message":"no"}`))), mustReference(t, "a/b"), Platform{})
	if _, ok := errors.AsType[*RejectedError](err); ok || err.Error() != `resolve docker.io/a/b:latest: one: neither an image manifest nor an index; it says "no"; give another source with --mirror` {
		t.Errorf("got %v", err)
	}
}

func TestAPlatformThatNoSourceHasIsThePlatformErrorOfTheFirst(t *testing.T) {
	other := newStore()
	other.tags["latest"] = other.index(on("linux/arm64", other.manifest("x"))).Digest
	_, err := Resolve(t.Context(), among(good(), other), mustReference(t, "a/b"), mustPlatform(t, "linux/mips"))
	if e, ok := err.(*PlatformError); !ok || !slices.Equal(e.Available, []Platform{mustPlatform(t, "linux/amd64")}) {
		t.Errorf("got %v", err)
	}
}

func TestAFailureAfterARejectionKeepsTheReason(t *testing.T) {
	down := errors.New("connection refused")
	m := among(answering([]byte(`{"message":"no"}`)))
	m.fails = down
	_, err := Resolve(t.Context(), m, mustReference(t, "a/b"), Platform{})
	e, ok := errors.AsType[*RejectedError](err)
	if !ok || e.Permanent() || e.Unwrap()[0] != down || !strings.Contains(err.Error(), `it says "no"`) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotRejected(t *testing.T) {
	s := answering([]byte(`{"message":"no"}`))
	m := among(s, good())
	byDigest := mustReference(t, "a/b@"+s.tags["latest"].String())
	if _, err := Resolve(t.Context(), m, byDigest, Platform{}); err == nil || len(m.rejected) > 0 {
		t.Errorf("by digest: %v, rejected %q", err, m.rejected)
	}

	m = among(newStore(), good()) // errNotFound is an example of any failure of a source
	if _, err := Resolve(t.Context(), m, mustReference(t, "a/b"), Platform{}); !errors.Is(err, errNotFound) || len(m.rejected) > 0 {
		t.Errorf("a failure: %v, rejected %q", err, m.rejected)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m = among(answering([]byte(`{"message":"no"}`)), good())
	if _, err := Resolve(ended, m, mustReference(t, "a/b"), Platform{}); err == nil || len(m.rejected) > 0 {
		t.Errorf("an ended context: %v, rejected %q", err, m.rejected)
	}
}

func TestRejectionsOfWhatMayComeBackAreNotPermanent(t *testing.T) {
	e := &RejectedError{Rejections: []Rejection{{"one", &PlatformError{}}, {"two", withdrawn{}}}}
	if e.Permanent() {
		t.Error("a manifest that is missing now was taken for missing for ever")
	}
	if e.Rejections = e.Rejections[:1]; !e.Permanent() {
		t.Error("an index was expected to change")
	}
}
