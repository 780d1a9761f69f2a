package sources

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
)

// One mirror that is down costs 5 s the first time, and 0.8 s until 10 minutes later; once
// it answers it resolves tags as before.
func TestASourceThatWasSilentIsWaitedForLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const never, byDigest, byTag = 0, 0, precedence
		down, up := &Source{at: endpoint{name: "down"}}, &Source{at: endpoint{name: "up"}}
		set := quietSet(NewLogins("", nil))
		var reported, troubles []string
		set.Silent = func(source string, _ time.Time) { reported = append(reported, source) }
		set.Trouble = func(source string, err error) { troubles = append(troubles, source+": "+err.Error()) }
		// race asks both, of which the first answers after a time, and the second at once.
		race := func(precedence, answers time.Duration) (winner *Source, took time.Duration) {
			began := time.Now()
			r := set.race(image.Reference{}, []*Source{down, up}, precedence, func(ctx context.Context, source *Source) answer {
				if source == up {
					return answer{source: source}
				}
				return said{after: answers}.by(ctx, source)
			})
			if r.unanswered = set.noteSilentForTag; precedence == byDigest {
				r.unanswered = set.noteSilentForDigest
			}
			a, err := r.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return a.source, time.Since(began)
		}
		for _, step := range []struct {
			about               string
			pause               time.Duration // before it
			precedence, answers time.Duration
			winner              *Source
			took                time.Duration
			troubles            int // that are reported
		}{
			{"one race for a digest means nothing for a tag", 0, byDigest, never, up, headStart, 1},
			{"so it has all the time", 0, byTag, never, up, precedence, 1},
			{"it is known to be silent", 0, byTag, never, up, headStart, 1},
			{"that is no proof of silence", silenceLasts - headStart, byTag, never, up, precedence, 1},
			{"by digest the other is asked at once", 0, byDigest, never, up, 0, 0},
			{"it answers again, but late", 0, byTag, time.Second, up, headStart, 1},
			{"it answers in time", 0, byTag, headStart / 2, down, headStart / 2, 0},
			{"so it has as long as before", 0, byTag, 2 * time.Second, down, 2 * time.Second, 1},
			{"also for a digest", 0, byDigest, never, up, headStart, 1},
			{"but not twice", 0, byDigest, never, up, 0, 0},
			{"its answer for a tag still counts", 0, byTag, 2 * time.Second, down, 2 * time.Second, 0},
			{"and restores its head start", 0, byDigest, headStart / 2, down, headStart / 2, 0},
		} {
			time.Sleep(step.pause)
			troubles = nil
			if winner, took := race(step.precedence, step.answers); winner != step.winner || took != step.took {
				t.Errorf("%s: %s after %v, want %s after %v", step.about, winner.Name(), took, step.winner.Name(), step.took)
			}
			want := slices.Repeat([]string{"down: no answer within 800ms"}, step.troubles)
			if !slices.Equal(troubles, want) {
				t.Errorf("%s: reported %q, want %q", step.about, troubles, want)
			}
		}
		if want := []string{"down", "down"}; !slices.Equal(reported, want) {
			t.Errorf("reported %q, want %q", reported, want)
		}
	})
}

// A silent source that is not named first has its 0.8 s from when it is asked; no source is
// noted that was asked late, or for which no answer waited.
func TestWhichSourcesAreSilent(t *testing.T) {
	down := errors.New("down")
	for about, tc := range map[string]struct {
		sources []said
		before  []int // silent before
		winner  int
		took    time.Duration
		noted   []string
	}{
		"one that works again answers in time": {[]said{{750 * time.Millisecond, down}, {after: 700 * time.Millisecond}, {after: 1}}, []int{1}, 1, 1450 * time.Millisecond, nil},
		"one that does not, as another fails":  {[]said{{}, {400 * time.Millisecond, down}, {after: 1}}, []int{0}, 2, headStart, nil},
		"one that does not":                    {[]said{{750 * time.Millisecond, down}, {}, {after: 1}}, []int{1}, 2, 1550 * time.Millisecond, nil},
		"all that were asked long ago": {
			[]said{{}, {}, {}, {}, {}, {}, {after: 1}},
			nil, 6, precedence,
			[]string{"0", "1", "2", "3"},
		},
		"none if the network was down": {[]said{{after: 7 * time.Second}, {after: 6 * time.Second}}, nil, 1, headStart + 6*time.Second, nil},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, set := time.Now(), quietSet(NewLogins("", nil))
				var noted []string
				set.Silent = func(source string, _ time.Time) { noted = append(noted, source) }
				var all []*Source
				for i := range tc.sources {
					all = append(all, &Source{at: endpoint{name: strconv.Itoa(i)}})
				}
				for _, i := range tc.before {
					all[i].silentAt.Store(&began)
				}
				r := set.race(image.Reference{}, all, precedence, func(ctx context.Context, source *Source) answer {
					return tc.sources[slices.Index(all, source)].by(ctx, source)
				})
				r.unanswered = set.noteSilentForTag
				a, err := r.run(t.Context())
				if took := time.Since(began); err != nil || a.source != all[tc.winner] || took != tc.took || !slices.Equal(noted, tc.noted) {
					t.Errorf("source %d after %v, noted %q, %v; want %d after %v, noted %q", slices.Index(all, a.source), took, noted, err, tc.winner, tc.took, tc.noted)
				}
			})
		})
	}
}

// Several that are silent cost no more than one.
func TestSilentSourcesAreAskedAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, began := []*Source{{}, {}, {}, {}}, time.Now()
		for _, source := range all[:3] {
			source.silentAt.Store(&began)
		}
		a, err := quietSet(NewLogins("", nil)).race(image.Reference{}, all, precedence, func(ctx context.Context, source *Source) answer {
			if source != all[3] {
				<-ctx.Done()
			}
			return answer{source: source}
		}).run(t.Context())
		if took := time.Since(began); err != nil || a.source != all[3] || took != headStart {
			t.Errorf("source %d after %v, %v", slices.Index(all, a.source), took, err)
		}
	})
}

func TestSilenceIsRecordedForTenMinutes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirrors.json")
	now := time.Now()
	got := saved(t, path,
		History{"a": {Rate: 1000, Seen: now}, "b": {Silent: now.Add(-9 * time.Minute)}, "c": {Rate: 1000, Seen: now, Silent: now.Add(-11 * time.Minute)}},
		History{"a": {Silent: now}, "b": {Rate: 2000, Seen: now}})
	if a := got["a"]; a.Rate != 1000 || !a.Silent.Equal(now) {
		t.Errorf("the record of a silent source, or when it was silent: %+v", a)
	}
	if b := got["b"]; b.Rate != 2000 || !b.Silent.Equal(now.Add(-9*time.Minute)) {
		t.Errorf("silent before a pull that ended well: %+v", b)
	}
	if c := got["c"]; c.Rate != 1000 || !c.Silent.IsZero() {
		t.Errorf("silent long ago: %+v", c)
	}
	set := &Set{sources: []*Source{{at: endpoint{name: "a"}}, {at: endpoint{name: "b"}}, {at: endpoint{name: "c"}}, {at: endpoint{name: "d"}}}}
	set.Recall(got)
	for i, want := range []bool{true, true, false, false} {
		if got := set.sources[i].Silent(); got != want {
			t.Errorf("source %d is silent: %v, want %v", i, got, want)
		}
	}
}

// Only an answer for a tag shows that a source answers for tags.
func TestASourceThatHasBytesMayBeSilentForTags(t *testing.T) {
	_, address := serving(t, imageA)
	set, now := newSet(t, Config{}, address), time.Now()
	source, b := set.Sources()[0], imageA.Config.Descriptor
	for _, step := range []struct {
		about  string
		ask    func() error
		silent bool
	}{
		{"a part of a blob", func() error {
			body, _, _, err := source.Open(t.Context(), app.Repository, b, 0, b.Size)
			return errors.Join(err, body.Close())
		}, true},
		{"a blob", func() error { _, err := set.Blob(t.Context(), app, b); return err }, true},
		{"a manifest by its digest", func() error {
			_, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{Digest: imageA.Manifest.Digest})
			return err
		}, true},
		{"a digest of a tag", func() error { _, _, err := set.Claim(t.Context(), app); return err }, false},
		{"that it has no such tag", func() error {
			if _, _, err := set.Claim(t.Context(), image.Reference{Registry: dockerHub, Repository: "library/app", Tag: "none"}); err == nil {
				return errors.New("it has it")
			}
			return nil
		}, false},
	} {
		source.lateAt.Store(&now)
		source.silentAt.Store(&now)
		if err := step.ask(); err != nil {
			t.Errorf("%s: %v", step.about, err)
		}
		if source.silent() != step.silent || source.lateAt.Load() != nil {
			t.Errorf("%s: silent for a tag %v, late %v", step.about, source.silent(), source.lateAt.Load())
		}
	}
}

// Who waits for a credential helper does not know whether the source answers.
func TestASlowCredentialHelperIsNoSilence(t *testing.T) {
	private, first := serving(t, imageA)
	private.Misbehave(registrytest.Basic("me", "secret"))
	_, second := serving(t, imageA)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"docker-credential-slow": "#!/bin/sh\nexec sleep 9\n",
		"config.json":            `{"credHelpers": {"` + strings.TrimPrefix(first, "http://") + `": "slow"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	set, _, err := New(Config{}, NewLogins(filepath.Join(dir, "config.json"), func(string) {}), []string{first, second}, Images{Registry: dockerHub})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	if _, _, err := set.Fetch(t.Context(), app, ocispec.Descriptor{Digest: imageA.Manifest.Digest}); err != nil {
		t.Fatal(err)
	}
	if set.Sources()[0].Silent() {
		t.Error("the source is called silent")
	}
}
