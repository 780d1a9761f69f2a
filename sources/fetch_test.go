package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

// said is what a source of a staged race does: it fails or answers after a
// time, or with 0 stays silent until it is cancelled.
type said struct {
	after time.Duration
	err   error
}

func (s said) by(ctx context.Context, source *Source) answer {
	after := time.After(s.after)
	if s.after == 0 {
		after = nil
	}
	select {
	case <-after:
		return answer{source: source, err: s.err}
	case <-ctx.Done():
		return answer{source: source, err: ctx.Err()}
	}
}

func TestTheFirstNamedThatAnswersResolvesTheTag(t *testing.T) {
	down := errors.New("down")
	for _, test := range []struct {
		about      string
		precedence time.Duration
		sources    []said
		winner     int // -1: none
		took       time.Duration
		asked      int
	}{
		{"one that answers is asked alone", precedence, []said{{after: headStart - 1}, {after: 1}}, 0, headStart - 1, 1},
		{"a failure starts the next at once", precedence, []said{{1, down}, {after: 5}}, 1, 6, 2},
		{"silence starts the next after a while", precedence, []said{{2 * time.Second, down}, {after: time.Millisecond}}, 1, 2 * time.Second, 2},
		{"a slow one keeps its word", precedence, []said{{after: 4 * time.Second}, {after: 1}}, 0, 4 * time.Second, 2},
		{"but not for ever", precedence, []said{{}, {after: 1}}, 1, precedence, 2},
		{"many dead ones cost no more than one", precedence, []said{{}, {}, {}, {after: 1}}, 3, precedence, 4},
		{"the first-named of the late ones", precedence, []said{{}, {after: 3 * time.Second}, {after: 1}}, 1, precedence, 3},
		{"late is better than never", precedence, []said{{}, {after: 20 * time.Second}, {after: 30 * time.Second}}, 1, headStart + 20*time.Second, 3},
		{"by digest the quickest will do", 0, []said{{}, {after: 1}}, 1, headStart + 1, 2},
		{"all fail", precedence, []said{{1, down}, {2, down}, {3, down}}, -1, 6, 3},
	} {
		t.Run(test.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, asked := time.Now(), atomic.Int32{}
				all := []*Source{{}, {}, {}, {}}[:len(test.sources)]
				r := race{set: quietSet(NewLogins("", nil)), sources: all, precedence: test.precedence, ask: func(ctx context.Context, source *Source) answer {
					asked.Add(1)
					return test.sources[slices.Index(all, source)].by(ctx, source)
				}}
				a, err := r.run(t.Context())
				winner := slices.Index(all, a.source)
				if took := time.Since(begin); winner != test.winner || took != test.took || int(asked.Load()) != test.asked {
					t.Errorf("source %d after %v, %d asked, %v; want %d after %v, %d asked",
						winner, took, asked.Load(), err, test.winner, test.took, test.asked)
				}
				if failed, ok := errors.AsType[*FetchError](err); (test.winner < 0) != ok {
					t.Errorf("error %v (%T)", err, failed)
				}
			})
		})
	}
}

func TestSilentSourcesAreReportedAndGivenUp(t *testing.T) {
	one, two := &Source{at: endpoint{name: "one"}}, &Source{at: endpoint{name: "two"}}
	hang := func(ctx context.Context, source *Source) answer {
		<-ctx.Done()
		return answer{source: source, err: ctx.Err()}
	}
	fails := func(ctx context.Context, source *Source) answer {
		if source == one {
			return answer{source: source, err: errors.New("one: down")}
		}
		return hang(ctx, source)
	}
	late := func(ctx context.Context, source *Source) answer {
		if source == two {
			time.Sleep(500 * time.Millisecond)
			return answer{source: source}
		}
		return hang(ctx, source)
	}
	for _, test := range []struct {
		about   string
		giveUp  time.Duration
		ask     func(context.Context, *Source) answer
		waiting string
		took    time.Duration // the second is asked after headStart of silence
		err     string        // "": the second wins
	}{
		{"all are silent", 10 * time.Second, hang, "[one two]", headStart + 10*time.Second, "one: no answer within 10s; two: no answer within 10s"},
		{"some are silent", 10 * time.Second, fails, "[two]", 10 * time.Second, "one: down; two: no answer within 10s"},
		{"a fetch that gives up soon reports nothing", time.Second / 2, hang, "", headStart + time.Second/2, "one: no answer within 500ms; two: no answer within 500ms"},
		{"an answer is taken rather than given up", 800 * time.Millisecond, late, "", headStart + 800*time.Millisecond, ""},
	} {
		t.Run(test.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, reported := time.Now(), ""
				set := quietSet(NewLogins("", nil))
				set.GiveUpAfter = test.giveUp
				set.Waiting = func(_ image.Reference, sources []string) { reported += fmt.Sprint(sources) }
				a, err := set.race(app, []*Source{one, two}, precedence, test.ask).run(t.Context())
				if took := time.Since(begin); took != test.took || reported != test.waiting {
					t.Errorf("took %v, and reported %s; want %v and %s", took, reported, test.took, test.waiting)
				}
				if test.err == "" && (err != nil || a.source != two) || test.err != "" && fmt.Sprint(err) != test.err {
					t.Errorf("ended with %v, want %s", err, test.err)
				}
			})
		})
	}
}

func TestARaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r := race{set: quietSet(NewLogins("", nil)), sources: []*Source{{}, {}}, precedence: precedence, ask: func(ctx context.Context, source *Source) answer {
			<-ctx.Done()
			return answer{source: source, err: ctx.Err()}
		}}
		begin := time.Now()
		if _, err := r.run(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

var (
	imageA = registrytest.NewImage(registrytest.ImageOptions{Seed: 1})
	imageB = registrytest.NewImage(registrytest.ImageOptions{Seed: 2})
)

// serving starts a registry that has the images under app:v, in turn.
func serving(t *testing.T, images ...registrytest.Image) (*registrytest.Server, string) {
	t.Helper()
	s := registrytest.New()
	for _, img := range images {
		s.Push("library/app", "v", img)
	}
	return s, s.Start(t)
}

// newSet returns a Set for docker.io/library/app, without warnings.
func newSet(t *testing.T, cfg Config, names ...string) *Set {
	t.Helper()
	set, reported, err := New(cfg, NewLogins("", nil), names, Images{Registry: dockerHub})
	if err != nil || len(reported) > 0 {
		t.Fatal(err, reported)
	}
	t.Cleanup(set.Close)
	return set
}

var app = image.Reference{Registry: dockerHub, Repository: "library/app", Tag: "v"}

func TestATagMeansWhatTheFirstSourceSays(t *testing.T) {
	empty, none := serving(t)
	_, a := serving(t, imageA)
	_, b := serving(t, imageB)
	yes, no := true, false
	cfg := Config{Mirror: map[string]Mirror{"untrusted": {URL: b, Tags: &no}, "trusted": {URL: b, Tags: &yes}}}
	for _, test := range []struct {
		names    []string
		want     registrytest.Image
		resolver string
	}{
		{[]string{a, b}, imageA, strings.TrimPrefix(a, "http://")},
		{[]string{b, a}, imageB, strings.TrimPrefix(b, "http://")},
		{[]string{none, a, b}, imageA, strings.TrimPrefix(a, "http://")},
		{[]string{"untrusted", a}, imageA, strings.TrimPrefix(a, "http://")},
		{[]string{"trusted", a}, imageB, "trusted"},
	} {
		set := newSet(t, cfg, test.names...)
		if set.Resolver(app) != "" {
			t.Errorf("%q: %s resolved before anything was asked", test.names, set.Resolver(app))
		}
		d, body, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
		if err != nil || d.Digest != test.want.Manifest.Digest || d.Digest != digest.FromBytes(body) {
			t.Errorf("%q: %v, %v", test.names, d, err)
		}
		if set.Resolver(app) != test.resolver {
			t.Errorf("%q: resolved by %s, want %s", test.names, set.Resolver(app), test.resolver)
		}
	}
	if len(empty.Stats().Log) == 0 {
		t.Error("the empty mirror was never asked")
	}
	_, _, err := newSet(t, cfg, "untrusted").Fetch(t.Context(), app, ocispec.Descriptor{})
	if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), "by digest") {
		t.Errorf("no source is trusted: %v", err)
	}
}

func TestADigestIsFetchedFromAnySource(t *testing.T) {
	_, none := serving(t)
	_, a := serving(t, imageA)
	corrupt, wrong := serving(t, imageA)
	fake := imageB.Manifest
	fake.Digest = imageA.Manifest.Digest
	corrupt.AddManifest("library/app", "", fake)

	no := false
	cfg := Config{Mirror: map[string]Mirror{"untrusted": {URL: a, Tags: &no}}}
	want := ocispec.Descriptor{Digest: imageA.Manifest.Digest, Size: imageA.Manifest.Size}
	for _, names := range [][]string{{a}, {none, a}, {wrong, a}, {"untrusted"}} {
		d, body, err := newSet(t, cfg, names...).Fetch(t.Context(), app, want)
		if err != nil || d.Digest != want.Digest || digest.FromBytes(body) != want.Digest {
			t.Errorf("%q: %v, %v", names, d, err)
		}
	}

	_, _, err := newSet(t, cfg, wrong).Fetch(t.Context(), app, want)
	if !mismatched(err) || missing(err) || refused(err) {
		t.Errorf("a corrupt source only: %v", err)
	}
	want.Size++
	_, _, err = newSet(t, cfg, a, none).Fetch(t.Context(), app, want)
	if !mismatched(err) || !strings.Contains(err.Error(), strings.TrimPrefix(a, "http://")+": sent "+want.Digest.String()) {
		t.Errorf("another size: %v", err)
	}
}

func TestTheSourceThatKnewTheTagIsAskedFirst(t *testing.T) {
	first, none := serving(t)
	_, a := serving(t, imageA)
	set := newSet(t, Config{}, none, a)
	d, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
	if err != nil {
		t.Fatal(err)
	}
	first.ResetStats()
	if _, _, err := set.Fetch(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if n := len(first.Stats().Log); n != 0 {
		t.Errorf("the source without the image was asked %d times more", n)
	}
}

func TestFailuresSayWhoAndWhy(t *testing.T) {
	_, none := serving(t)
	_, alsoNone := serving(t)
	closed, shut := serving(t, imageA)
	closed.Misbehave(registrytest.Status(403).On())
	private, locked := serving(t, imageA)
	private.Misbehave(registrytest.Basic("u", "p"))
	ill, broken := serving(t, imageA)
	ill.Misbehave(registrytest.Status(400).On())
	host := func(u string) string { return strings.TrimPrefix(u, "http://") }
	// The origin of these names is a server of the test.
	cfg := func(origin string) Config { return Config{Mirror: map[string]Mirror{dockerHub: {URL: origin}}} }

	for _, test := range []struct {
		about            string
		cfg              Config
		names            []string
		missing, refused bool
		want             []string
	}{
		{"no source has it", Config{}, []string{none, alsoNone}, true, false, []string{"not found on " + host(none) + ", " + host(alsoNone)}},
		{"every source refuses", Config{}, []string{shut, locked}, false, true, []string{host(shut) + ": manifest", "403", "docker login " + host(shut), "401", "docker login " + host(locked)}},
		{"the origin has no such image", cfg(none), []string{shut, dockerHub}, true, false, []string{"403", "404"}},
		{"the origin wants credentials", cfg(locked), []string{none, dockerHub}, false, true, []string{"404", "401"}},
		{"without the origin credentials may help", Config{}, []string{none, shut}, false, true, []string{"404", "403"}},
		{"one that may come back", Config{}, []string{none, broken}, false, false, []string{"404", "400"}},
	} {
		t.Run(test.about, func(t *testing.T) {
			_, _, err := newSet(t, test.cfg, test.names...).Fetch(t.Context(), app, ocispec.Descriptor{})
			if err == nil || missing(err) != test.missing || refused(err) != test.refused || mismatched(err) {
				t.Fatalf("missing %t, refused %t: %v", missing(err), refused(err), err)
			}
			at := 0
			for _, want := range test.want {
				i := strings.Index(err.Error()[at:], want)
				if i < 0 {
					t.Fatalf("no %q after byte %d of %v", want, at, err)
				}
				at += i
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("several lines: %v", err)
			}
		})
	}
}

func TestARefusalSaysWhatIsKnownOfAPreset(t *testing.T) {
	s, address := serving(t)
	s.Misbehave(registrytest.Status(403).On())
	source := newSet(t, Config{}, address).Sources()[0]
	source.at.Note = "serves its campus only"
	a := source.manifest(t.Context(), "library/app", "v")
	if want := "(it serves its campus only)"; a.err == nil || !strings.Contains(a.err.Error(), want) || strings.Contains(fmt.Sprint(a.err), "docker login") {
		t.Errorf("got %v, want %s", a.err, want)
	}
}

func TestSourcesThatDisagreeAboutATagAreReported(t *testing.T) {
	ours, same, other, none := registrytest.New(), registrytest.New(), registrytest.New(), registrytest.New()
	ours.Push("library/app", "v", registrytest.NewImage(registrytest.ImageOptions{Seed: 1}))
	same.Push("library/app", "v", registrytest.NewImage(registrytest.ImageOptions{Seed: 1}))
	stale := registrytest.NewImage(registrytest.ImageOptions{Seed: 2})
	other.Push("library/app", "v", stale)
	var names []string
	for _, r := range []*registrytest.Server{ours, same, other, none} {
		names = append(names, r.Start(t))
	}
	set := newSet(t, Config{}, names...)
	d, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{})
	if err != nil {
		t.Fatal(err)
	}
	var got []Disagreement
	set.Disagreements(t.Context(), app, d.Digest, func(d Disagreement) { got = append(got, d) })
	if want := (Disagreement{strings.TrimPrefix(names[2], "http://"), stale.Manifest.Digest}); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := same.Stats().Requests[registrytest.KindManifest]; n != 0 {
		t.Errorf("a source that was not needed served %d manifests", n)
	}
}
