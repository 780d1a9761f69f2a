package image

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// locked is a store for several goroutines.
type locked struct {
	*store
	mu sync.Mutex
}

func (l *locked) Fetch(ctx context.Context, ref Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.Fetch(ctx, ref, want)
}

func digestsOf(descriptors []ocispec.Descriptor) (all []digest.Digest) {
	for _, d := range descriptors {
		all = append(all, d.Digest)
	}
	return all
}

func TestResolveAllKeepsAllThatAnIndexLists(t *testing.T) {
	s := newStore()
	amd64, arm, old := s.manifest("amd64"), s.manifest("arm"), s.manifest("old")
	attestation, artifact := s.manifest("attestation"), blob("an artifact", 11)
	inner := s.index(on("linux/386", old), on("linux/amd64", amd64))
	top := s.index(on("linux/amd64", amd64), inner, on("linux/arm", arm), on("unknown/unknown", attestation), artifact, on("linux/arm", arm))
	s.tags["22.04"] = top.Digest
	img, err := ResolveAll(t.Context(), &locked{store: s}, mustReference(t, "ubuntu:22.04"))
	if err != nil {
		t.Fatal(err)
	}
	var inOrder []ocispec.Descriptor
	for _, m := range img.Manifests() {
		if digest.FromBytes(m.Bytes) != m.Digest || m.MediaType != s.types[m.Digest] {
			t.Errorf("%s has other bytes, or the type %s", m.Digest, m.MediaType)
		}
		inOrder = append(inOrder, m.Descriptor)
	}
	want := digestsOf([]ocispec.Descriptor{amd64, old, inner, arm, attestation, top})
	if got := digestsOf(inOrder); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the manifests are\n%v, want\n%v", got, want)
	}
	if n := len(img.Blobs()); n != 1+2*4 {
		t.Errorf("there are %d blobs, want the artifact, and a config and a layer of each manifest", n)
	}
	if img.Platform != All || img.Platform.String() != "all" || !img.IsIndex() || img.Digest != top.Digest || img.Size() != 11+4*1100 {
		t.Errorf("got %+v", img)
	}
	if name := img.Reference.FileName(img.Platform); name != "ubuntu_22.04_all" {
		t.Errorf("the file is called %s", name)
	}
	if len(s.wants) != 6 {
		t.Errorf("it made %d requests", len(s.wants))
	}
}

func TestResolveAllOfAManifest(t *testing.T) {
	s := newStore()
	s.tags["22.04"] = s.manifest("x").Digest
	img, err := ResolveAll(t.Context(), s, mustReference(t, "ubuntu:22.04"))
	if err != nil || img.IsIndex() || !img.Assumed || img.Platform != DefaultPlatform() || len(img.Layers) != 1 {
		t.Errorf("got %+v, %v", img, err)
	}
}

func TestResolveAllHasBounds(t *testing.T) {
	deep := newStore()
	deep.tags["22.04"] = deep.index(deep.index(deep.index(deep.manifest("x")))).Digest
	wide := newStore()
	var many []ocispec.Descriptor
	for i := range mostInner {
		many = append(many, wide.manifest(fmt.Sprint(i)))
	}
	wide.tags["22.04"] = wide.index(many...).Digest
	missing := newStore()
	missing.tags["22.04"] = missing.index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}).Digest
	layers := newStore()
	var all []ocispec.Descriptor
	for i := range 10*MaxLayers + 1 {
		all = append(all, blob(fmt.Sprint(i), 1))
	}
	layers.tags["22.04"] = layers.index(all...).Digest
	for what, c := range map[string]struct {
		store *store
		want  string
	}{
		"deep":    {deep, "nested more than 2 deep"},
		"wide":    {wide, "more than 256 manifests"},
		"missing": {missing, errNotFound.Error()},
		"layers":  {layers, "has 10001 layers; segpull supports at most 10000"},
	} {
		_, err := ResolveAll(t.Context(), &locked{store: c.store}, mustReference(t, "ubuntu:22.04"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
