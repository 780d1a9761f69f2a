package sources

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file of any content gives a history of at most the last month, which Save
// writes so that LoadHistory returns the same.
func FuzzHistory(f *testing.F) {
	now := time.Now().UTC().Format(time.RFC3339)
	f.Add([]byte(`{"a": {"connections": 4, "burst": 9, "rate": 1000000, "seen": "` + now + `"}}`))
	f.Add([]byte(`{"a": {"connections": -1, "rate": -9223372036854775808, "seen": "` + now + `"}, "a": {"seen": "` + now + `"}}`))
	f.Add([]byte(`{"` + "\xff" + `": {"connections": 1e99, "seen": "` + now + `"}}`))
	f.Add([]byte(`{"a": {"seen": "9999-12-31T23:59:59Z"}, "b": {"seen": "0001-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"a": {"silent": "` + now + `"}, "b": {"corrupt": "` + now + `", "silent": "9999-12-31T23:59:59Z"}}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "mirrors.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got := LoadHistory(path)
		for name, h := range got {
			for _, at := range []struct {
				time.Time
				lasts time.Duration
			}{{h.Seen, recordLasts}, {h.Corrupt, corruptLasts}, {h.Silent, silenceLasts}} {
				if age := time.Since(at.Time); !at.IsZero() && (age < 0 || age > at.lasts) {
					t.Errorf("%q has %+v", name, h)
				}
			}
		}
		if err := got.Save(path); err != nil {
			t.Fatal(err)
		}
		same := func(a, b Record) bool {
			times := a.Seen.Equal(b.Seen) && a.Corrupt.Equal(b.Corrupt) && a.Silent.Equal(b.Silent)
			a.Seen, a.Corrupt, a.Silent = b.Seen, b.Corrupt, b.Silent
			return times && a == b
		}
		if again := LoadHistory(path); len(got) > 0 && !maps.EqualFunc(again, got, same) {
			t.Errorf("saved %v, loaded %v", got, again)
		}
	})
}
