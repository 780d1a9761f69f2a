package crashtest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/sources"
)

// After any damage to the part directory, the next pull succeeds, and fetches only the
// lost bytes again.
func TestDamageToThePartDirectory(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 5*mib, 2*mib)
	m := pulltest.Serve(t, 1, img)
	kept, done := pulltest.Interrupted(t, m, "1")
	m.Servers[0].Push(repo, "2", pulltest.ImageOf(2, 5*mib, 2*mib))
	other, _ := pulltest.Interrupted(t, m, "2")
	pristine := filepath.Join(t.TempDir(), "app.tar")
	m.MustPull(t, segpull.Options{Output: pristine})

	const all = 1 << 30
	for what, tc := range map[string]struct {
		damage func(part, sidecar string) error
		costs  int64 // bytes, at most
	}{
		"nothing": {func(string, string) error { return nil }, 0},
		"part file truncated": {func(part, _ string) error {
			return os.Truncate(part, pulltest.Stat(t, part).Size()-mib)
		}, mib},
		"part file grown": {func(part, _ string) error { return os.Truncate(part, pulltest.Stat(t, part).Size()+50*mib) }, 0},
		"writes to the part file lost": {func(part, _ string) error {
			f, err := os.OpenFile(part, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, mib), 512*kib)
			return errors.Join(err, f.Close())
		}, mib},
		"writes to the sidecar lost": {func(_, sidecar string) error { return os.Truncate(sidecar, pulltest.Stat(t, sidecar).Size()-100) }, mib},
		"part file a link": {func(part, _ string) error {
			return errors.Join(os.Rename(part, part+"-elsewhere"), os.Symlink(part+"-elsewhere", part))
		}, all},
		"part file a directory": {func(part, _ string) error { return errors.Join(os.Remove(part), os.Mkdir(part, 0o700)) }, all},
		"part file gone":        {func(part, _ string) error { return os.Remove(part) }, all},
		"sidecar a directory":   {func(_, sidecar string) error { return errors.Join(os.Remove(sidecar), os.Mkdir(sidecar, 0o700)) }, all},
		"sidecar gone":          {func(_, sidecar string) error { return os.Remove(sidecar) }, all},
		"sidecar of garbage":    {func(_, sidecar string) error { return os.WriteFile(sidecar, make([]byte, 5000), 0o600) }, all},
		"sidecar from later":    {func(_, sidecar string) error { return edit(sidecar, "segpull1", "segpull2") }, all},
		"sidecar of another":    {func(_, sidecar string) error { return os.Rename(filepath.Join(other, "state"), sidecar) }, all},
		"files of the future":   {func(part, sidecar string) error { return errors.Join(future(part), future(sidecar)) }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "app.tar")
			dir := out + ".segpull"
			pulltest.Must(t, os.CopyFS(dir, os.DirFS(kept)))
			pulltest.Must(t, tc.damage(filepath.Join(dir, "part"), filepath.Join(dir, "state")))
			r := m.MustPull(t, segpull.Options{Output: out})
			if most := min(pulltest.BlobsOf(img), pulltest.BlobsOf(img)-done+tc.costs) + slack; r.Fetched > most {
				t.Errorf("%d of %d bytes were there, and %d were fetched", done, pulltest.BlobsOf(img), r.Fetched)
			}
			if string(pulltest.ReadFile(t, out)) != string(pulltest.ReadFile(t, pristine)) {
				t.Error("the archive is wrong")
			}
		})
	}
}

func edit(name, old, text string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Replace(string(content), old, text, 1)), 0o600)
}

func future(name string) error {
	then := time.Now().AddDate(20, 0, 0)
	return os.Chtimes(name, then, then)
}

// The clock may jump back by years. Waits and rates use Go's monotonic clock, which does
// not jump; segpull reads no time of a file (see above); and it ignores records of
// mirrors with a time in the future.
func TestWhatIsRememberedFromTheFuture(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, 300*kib))
	history := filepath.Join(t.TempDir(), "mirrors.json")
	text, err := json.Marshal(sources.History{m.Name(0): {Connections: 1, Rate: 1, Seen: time.Now().AddDate(20, 0, 0)}})
	pulltest.Must(t, err)
	pulltest.Must(t, os.WriteFile(history, text, 0o600))
	if got := sources.LoadHistory(history); len(got) > 0 {
		t.Errorf("remembered %v", got)
	}
	m.MustPull(t, segpull.Options{History: history})
}
