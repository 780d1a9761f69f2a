package segpull_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	layer := pulltest.ImageOf(1, 300*kib).Layers[0].Digest
	for what, tc := range map[string]struct {
		faults  []registrytest.Fault
		opts    segpull.Options
		ref     string
		code    error
		words   []string
		noParts bool // no bytes stay on disk
	}{
		"no such tag":        {ref: "registry.example/team/app:2", code: segpull.ErrNotFound, words: []string{"app:2", "not found"}, noParts: true},
		"no such repository": {ref: "registry.example/team/none", code: segpull.ErrNotFound, words: []string{"not found"}, noParts: true},
		"a blob is missing": {
			faults: []registrytest.Fault{registrytest.Status(404).Of(layer)},
			code:   segpull.ErrNotFound, words: []string{"404"},
		},
		"it wants credentials": {
			faults: []registrytest.Fault{registrytest.Basic("jo", "secret")},
			code:   segpull.ErrCredentials, words: []string{"docker login"}, noParts: true,
		},
		"it wants credentials for a blob": {
			faults: []registrytest.Fault{registrytest.Status(403).Of(layer)},
			code:   segpull.ErrCredentials, words: []string{"403"},
		},
		"it sends other bytes": {
			faults: []registrytest.Fault{registrytest.Flip(1000, 1001)},
			code:   segpull.ErrMismatch, words: []string{"digest", "mirror"},
		},
		"it has no manifest, and 500s": {
			faults: []registrytest.Fault{registrytest.Status(500).On()},
			code:   segpull.ErrNetwork, words: []string{"500"}, noParts: true,
		},
		"it has the manifest, and 500s": {
			faults: []registrytest.Fault{registrytest.Status(500)},
			opts:   segpull.Options{GiveUpAfter: time.Second},
			code:   segpull.ErrNetwork, words: []string{"500", "1s", "run the same command again"},
		},
		"it says nothing of the tag": {
			faults: []registrytest.Fault{registrytest.Hang().On()},
			opts:   segpull.Options{GiveUpAfter: time.Second},
			code:   segpull.ErrNetwork, words: []string{"no answer within 1s", "--mirror"}, noParts: true,
		},
		"it says nothing": {
			faults: []registrytest.Fault{registrytest.Hang()},
			opts:   segpull.Options{GiveUpAfter: time.Second},
			code:   segpull.ErrNetwork, words: []string{"1s", "run the same command again"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib))
			m.Servers[0].Misbehave(tc.faults...)
			tc.opts.Output = filepath.Join(t.TempDir(), "app.tar")
			name := tc.ref
			if name == "" {
				name = ref
			}
			results, err := m.Pull(t, tc.opts, name)
			pulltest.WantError(t, err, tc.code, append(tc.words, "team/")...)
			if len(results) > 0 {
				t.Errorf("results %+v", results)
			}
			if tc.noParts {
				pulltest.WantFiles(t, filepath.Dir(tc.opts.Output))
			} else {
				pulltest.WantFiles(t, filepath.Dir(tc.opts.Output), "app.tar.segpull")
			}
		})
	}
}

func TestAnIndexWithoutThePlatformListsThoseThatItHas(t *testing.T) {
	arm := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm/v7"})
	m := pulltest.Serve(t, 1, registrytest.NewIndex(pulltest.ImageOf(1, 4*kib), arm))
	_, err := m.Pull(t, segpull.Options{Platform: "linux/s390x"})
	pulltest.WantError(t, err, segpull.ErrNotFound, "linux/s390x", "--platform", "linux/amd64", "linux/arm/v7")

	r, err := m.Pull(t, segpull.Options{Platform: "linux/arm/v7"})
	if err != nil || r[0].ImageID != arm.Config.Digest.String() {
		t.Errorf("pulled %+v, %v", r, err)
	}
}

func TestNoServerListens(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	_, err := m.Pull(t, segpull.Options{Mirrors: []string{"http://127.0.0.1:1"}})
	pulltest.WantError(t, err, segpull.ErrNetwork, "127.0.0.1:1", "refused")
}

func TestMirrorsThatCannotBeUsedAreReported(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	rec := &pulltest.Recorder{}
	if _, err := m.Pull(t, segpull.Options{Mirrors: []string{"no-such-mirror", m.URLs[0]}, Observer: rec}); err != nil {
		t.Error(err)
	}
	if n := len(pulltest.EventsOf[segpull.Warning](rec)); n != 1 {
		t.Errorf("%d warnings: %s", n, rec.Warnings())
	}
	_, err := m.Pull(t, segpull.Options{Mirrors: []string{"no-such-mirror"}})
	pulltest.WantError(t, err, segpull.ErrUsage, "no-such-mirror")
}

func TestAMirrorThatServedNothingIsWarnedOf(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 2, pulltest.ImageOf(1, mib))
	m.Servers[1].Misbehave(registrytest.Status(403))
	m.Servers[0].Throttle(2 * mib)
	rec := &pulltest.Recorder{}
	if _, err := m.Pull(t, segpull.Options{Observer: rec}); err != nil {
		t.Fatal(err)
	}
	if got := rec.Warnings(); !strings.Contains(got, m.Name(1)+" served nothing") || !strings.Contains(got, "403") || strings.Contains(got, "\n") {
		t.Errorf("warned of %q", got)
	}
}

func TestAnImageOfAnotherPlatformIsWarnedOf(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 4*kib))
	rec := &pulltest.Recorder{}
	r, err := m.Pull(t, segpull.Options{Platform: "linux/s390x", Observer: rec})
	if err != nil || r[0].Platform != "linux/amd64" {
		t.Errorf("pulled %+v, %v", r, err)
	}
	if !strings.Contains(rec.Warnings(), "is for linux/amd64, not linux/s390x") {
		t.Errorf("warned of %q", rec.Warnings())
	}
}

func TestAFullDiskKeepsWhatIsThere(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib))
	t.Chdir(t.TempDir())
	_, err = m.Pull(t, segpull.Options{Output: "-", Stdout: full})
	pulltest.WantError(t, err, nil, "no space left", "make room", "run the same command again")

	r, err := m.Pull(t, segpull.Options{Output: "-", Stdout: discard{}})
	if err != nil || r[0].Fetched != 0 {
		t.Errorf("pulled %+v, %v, where all was there", r, err)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestCancelEndsEveryWait(t *testing.T) {
	img := pulltest.ImageOf(1, 2*mib)
	for what, faults := range map[string][]registrytest.Fault{
		"a manifest that does not come": {registrytest.Hang().On(registrytest.KindManifest)},
		"a blob that does not come":     {registrytest.Hang()},
		"a body that stops":             {registrytest.StallAfter(100 * kib)},
		"a trickle":                     {registrytest.Trickle(1000)},
		"a server that wants patience":  {registrytest.RetryAfter(429, "600")},
		"errors without end":            {registrytest.Status(500).On()},
		"a token that does not come":    {registrytest.Hang().On(registrytest.KindToken), registrytest.Bearer(registrytest.Auth{})},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 1, img)
			m.Servers[0].Misbehave(faults...)
			wantQuickCancel(t, m, segpull.Options{})
		})
	}
	t.Run("a rate limit", func(t *testing.T) {
		t.Parallel()
		wantQuickCancel(t, pulltest.Serve(t, 1, img), segpull.Options{Limits: segpull.NewLimits(1000)})
	})
	t.Run("a proxy that says nothing", func(t *testing.T) {
		t.Parallel()
		m := pulltest.Serve(t, 1, img)
		m.Servers[0].Misbehave(registrytest.Wrap(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}).On())
		wantQuickCancel(t, m, segpull.Options{})
	})
}

func TestCancelDoesNotWaitForAReader(t *testing.T) {
	t.Chdir(t.TempDir()) // which has the part directory of a stream
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, mib))
	r, w := io.Pipe()
	defer r.Close()
	wantQuickCancel(t, m, segpull.Options{Output: "-", Stdout: w})
}

func wantQuickCancel(t *testing.T, m *pulltest.Mirrors, opts segpull.Options) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(500*time.Millisecond, func() { cancel(errLost) })
	began := time.Now()
	_, err := m.PullContext(ctx, t, opts)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if !errors.Is(err, errLost) {
		t.Errorf("ended with %v", err)
	}
}

var errLost = errors.New("lost interest")
