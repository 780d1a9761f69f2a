package quirktest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// quirk is something that registries, stores and proxies do, and the result of
// a pull from it alone. The label of a row ends with the public reports of it.
type quirk struct {
	faults []registrytest.Fault
	img    registrytest.Image // one layer of 2 MiB and a small one, if zero
	path   string             // of the mirror's address
	table  sources.Mirror     // its settings besides
	login  string             // user:password that is stored for it
	code   error              // class of the error; nil: it pulls the image right
	words  []string           // in the error
	warns  []string           // in the warnings; %s is the file with the login
	asked  func(t *testing.T, seen registrytest.Stats)
}

// soon is the time that every pull of a quirk has. GiveUpAfter is longer.
const soon = 20 * time.Second

var errLate = fmt.Errorf("not done in %v", soon)

func quirky(faults ...registrytest.Fault) quirk { return quirk{faults: faults} }

// playQuirks pulls once for each row.
func playQuirks(t *testing.T, rows map[string]quirk) {
	t.Helper()
	for what, q := range rows {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			q.play(t)
		})
	}
}

func (q quirk) play(t *testing.T) {
	if q.img.Manifest.ReaderAt == nil {
		q.img = pulltest.ImageOf(1, 2*mib, 50*kib)
	}
	m := pulltest.Serve(t, 1, q.img)
	m.Servers[0].Misbehave(q.faults...)
	q.table.URL = m.URLs[0] + q.path
	rec := &pulltest.Recorder{}
	opts := segpull.Options{
		Mirrors:     []string{"odd"},
		Config:      sources.Config{Mirror: map[string]sources.Mirror{"odd": q.table}},
		Authfile:    authfile(t, map[string]string{m.Name(0): q.login}),
		SegmentSize: 256 * kib,
		Observer:    rec,
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), soon, errLate)
	defer cancel()
	results, err := m.PullContext(ctx, t, opts)
	q.check(t, results, err)
	for _, want := range q.warns {
		if want = strings.ReplaceAll(want, "%s", opts.Authfile); !strings.Contains(rec.Warnings(), want) {
			t.Errorf("%q does not warn of %q", rec.Warnings(), want)
		}
	}
	if q.warns == nil && rec.Warnings() != "" {
		t.Errorf("warned of %q", rec.Warnings())
	}
	if q.asked != nil {
		q.asked(t, m.Servers[0].Stats())
	}
}

func (q quirk) check(t *testing.T, results []segpull.Result, err error) {
	t.Helper()
	switch {
	case q.code != nil:
		pulltest.WantError(t, err, q.code, q.words...)
	case err != nil:
		t.Fatal(err)
	default:
		for _, img := range append(q.img.Images, q.img)[:1] {
			pulltest.CheckDocker(t, pulltest.Contents(t, results[0].Path), img)
		}
	}
}

// authfile is a file with logins, each user:password, by host. Those that are
// "" are left out.
func authfile(t *testing.T, logins map[string]string) string {
	t.Helper()
	var entries []string
	for host, login := range logins {
		if login != "" {
			entries = append(entries, fmt.Sprintf(`%q:{"auth":%q}`, host, base64.StdEncoding.EncodeToString([]byte(login))))
		}
	}
	file := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(file, []byte(`{"auths":{`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// count is how many requests are such as this.
func count(seen registrytest.Stats, such func(registrytest.Request) bool) (n int) {
	for _, r := range seen.Log {
		if such(r) {
			n++
		}
	}
	return n
}

func isBlob(r registrytest.Request) bool {
	return r.Kind == registrytest.KindBlob || r.Kind == registrytest.KindCDN
}

func ranged(r registrytest.Request) bool { return isBlob(r) && r.Range != "" }
