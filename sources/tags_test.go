package sources

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

var errOdd = errors.New("it is not an image")

// odd starts a registry whose answer to app:v is an error in JSON.
func odd(t *testing.T) (*registrytest.Server, string) {
	t.Helper()
	s, address := serving(t)
	s.AddManifest("library/app", "v", registrytest.NewBlob("application/json", []byte(`{"code":403}`)))
	return s, address
}

func TestASourceThatWasRejectedIsNotAskedForTheTagAgain(t *testing.T) {
	rejected, first := odd(t)
	_, second := serving(t, imageA)
	set := newSet(t, Config{}, first, second)
	tag := func() digest.Digest {
		d, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
		if err != nil {
			t.Fatal(err)
		}
		return d.Digest
	}
	tag()
	if source, more := set.Reject(app, errOdd); source != strings.TrimPrefix(first, "http://") || !more {
		t.Errorf("rejected %q, more %t", source, more)
	}
	rejected.ResetStats()
	if got := tag(); got != imageA.Manifest.Digest || set.Resolver(app) != strings.TrimPrefix(second, "http://") {
		t.Errorf("%s by %s", got, set.Resolver(app))
	}
	set.Disagreements(t.Context(), app, imageA.Manifest.Digest, func(d Disagreement) { t.Errorf("a rejected source disagrees: %+v", d) })
	if n := len(rejected.Stats().Log); n != 0 {
		t.Errorf("the rejected source was asked %d times more", n)
	}

	// Another tag is another question, and blobs are asked of all.
	other := app
	other.Tag = "w"
	rejected.Push("library/app", "w", imageB)
	if d, _, err := set.Fetch(t.Context(), other, ocispec.Descriptor{}); err != nil || d.Digest != imageB.Manifest.Digest {
		t.Errorf("another tag: %v, %v", d, err)
	}
	if len(set.Sources()) != 2 {
		t.Errorf("%d sources are left", len(set.Sources()))
	}

	if source, more := set.Reject(app, errOdd); source != strings.TrimPrefix(second, "http://") || more {
		t.Errorf("rejected %q, more %t", source, more)
	}
	if got := tag(); got == imageA.Manifest.Digest {
		t.Error("when all are rejected, the first is not asked again")
	}
}

func TestRejectCountsOnlySourcesThatAreTrusted(t *testing.T) {
	_, first := odd(t)
	_, second := serving(t, imageA)
	no := false
	set := newSet(t, Config{Mirror: map[string]Mirror{"untrusted": {URL: second, Tags: &no}}}, first, "untrusted")
	if source, more := set.Reject(app, errOdd); source != "" || more {
		t.Errorf("before anything was asked: %q, %t", source, more)
	}
	if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); err != nil {
		t.Fatal(err)
	}
	if _, more := set.Reject(app, errOdd); more {
		t.Error("a source that is not trusted for tags is to be asked")
	}
}

func TestAManifestThatItsResolverLacksIsWithdrawn(t *testing.T) {
	t.Parallel()
	gone := ocispec.Descriptor{Digest: digest.FromString("gone"), Size: 4}
	digested := app
	digested.Digest = gone.Digest
	for _, test := range []struct {
		about  string
		faults []registrytest.Fault // of the resolver, after it has resolved the tag
		want   bool
	}{
		{"missing", nil, true},
		{"refused", []registrytest.Fault{registrytest.Status(403).On()}, true},
		{"failing", []registrytest.Fault{registrytest.Status(500).On()}, false},
	} {
		t.Run(test.about, func(t *testing.T) {
			t.Parallel()
			resolver, address := odd(t)
			ill, broken := serving(t, imageB)
			_, tagged := odd(t)
			set := newSet(t, Config{}, address, broken, tagged)
			if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{}); err != nil {
				t.Fatal(err)
			}
			ill.Misbehave(registrytest.Status(500).On()) // an error that may pass does not decide
			resolver.Misbehave(test.faults...)
			_, _, err := set.Fetch(t.Context(), app, gone)
			if e, ok := errors.AsType[*FetchError](err); !ok || e.Withdrawn() != test.want {
				t.Error(err)
			}
			_, err = set.Blob(t.Context(), app, gone)
			if e, ok := errors.AsType[*FetchError](err); !ok || e.Withdrawn() != test.want {
				t.Errorf("of a blob: %v", err)
			}
			_, _, err = set.Fetch(t.Context(), digested, gone)
			if e, ok := errors.AsType[*FetchError](err); !ok || e.Withdrawn() {
				t.Errorf("named by digest: %v", err)
			}
		})
	}
	_, none := serving(t)
	_, _, err := newSet(t, Config{}, none).Fetch(t.Context(), app, ocispec.Descriptor{})
	if e, ok := errors.AsType[*FetchError](err); !ok || e.Withdrawn() {
		t.Errorf("a tag that no source has: %v", err)
	}
}

func TestTheStatesOfTagsAreBounded(t *testing.T) {
	var states tagStates
	for i := range 3 * mostTags {
		states.change(image.Reference{Registry: "docker.io", Repository: "a", Tag: fmt.Sprint(i)}, func(s *tagState) { s.resolver = &Source{} })
	}
	last := image.Reference{Registry: "docker.io", Repository: "a", Tag: fmt.Sprint(3*mostTags - 1)}
	if n := len(states.states); n > mostTags || states.of(last).resolver == nil {
		t.Errorf("%d states", n)
	}
}
