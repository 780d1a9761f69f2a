package sources

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The memory is a file that anything may have happened to: what is recalled of
// it is of the last month, can be kept again, and is then the same.
func FuzzMemory(f *testing.F) {
	now := time.Now().UTC().Format(time.RFC3339)
	f.Add([]byte(`{"a": {"connections": 4, "request": 4194304, "rate": 1000000, "seen": "` + now + `"}}`))
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
		got := Recall(path)
		for name, h := range got {
			if age := time.Since(h.Seen); age < 0 || age > remembered {
				t.Errorf("%q was seen at %v", name, h.Seen)
			}
		}
		if err := got.Keep(path); err != nil {
			t.Fatal(err)
		}
		same := func(a, b Habits) bool {
			seen := a.Seen.Equal(b.Seen)
			a.Seen, b.Seen = time.Time{}, time.Time{}
			return seen && a == b
		}
		if again := Recall(path); len(got) > 0 && !maps.EqualFunc(again, got, same) {
			t.Errorf("kept %v, recalled %v", got, again)
		}
	})
}
