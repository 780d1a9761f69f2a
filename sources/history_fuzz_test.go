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
	f.Add([]byte(`[[[[`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "mirrors.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got := LoadHistory(path)
		for name, h := range got {
			if age := time.Since(h.Seen); age < 0 || age > recordLasts {
				t.Errorf("%q was seen at %v", name, h.Seen)
			}
		}
		if err := got.Save(path); err != nil {
			t.Fatal(err)
		}
		same := func(a, b Record) bool {
			seen := a.Seen.Equal(b.Seen)
			a.Seen, b.Seen = time.Time{}, time.Time{}
			return seen && a == b
		}
		if again := LoadHistory(path); len(got) > 0 && !maps.EqualFunc(again, got, same) {
			t.Errorf("saved %v, loaded %v", got, again)
		}
	})
}
