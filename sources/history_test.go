package sources

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// saved saves histories in a file, one after the other, and returns what it has then.
func saved(t *testing.T, path string, all ...History) History {
	t.Helper()
	for _, h := range all {
		if err := h.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	return LoadHistory(path)
}

func TestSaveKeepsTheRecordsOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache", "mirrors.json")
	now := time.Now()
	mine := History{"a": {Connections: 32, Burst: 9, Rate: 1000, Seen: now}}
	others := History{"b": {Connections: 2, Seen: now}, "a": {Connections: 1, Seen: now}}
	got := saved(t, path, others, mine, History{})
	if len(got) != 2 || got["a"].Connections != 32 || got["a"].Burst != 9 || got["b"].Connections != 2 {
		t.Errorf("got %+v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAHistoryThatIsOfNoUse(t *testing.T) {
	old := time.Now().Add(-60 * 24 * time.Hour).Format(time.RFC3339)
	for name, text := range map[string]string{
		"empty": "", "garbage": "\x00\xff", "half": `{"a": {"connections": 4`, "another shape": `["a"]`,
		"old": `{"a": {"connections": 4, "seen": "` + old + `"}}`, "of the future": `{"a": {"seen": "2999-01-01T00:00:00Z"}}`,
	} {
		path := filepath.Join(t.TempDir(), "mirrors.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := LoadHistory(path); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if err := (History{"b": {Seen: time.Now()}}).Save(path); err != nil || len(LoadHistory(path)) != 1 {
			t.Errorf("%s: not written again: %v", name, err)
		}
	}
	if got := LoadHistory(filepath.Join(t.TempDir(), "none")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestACorruptSourceIsRecordedForAWeek(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirrors.json")
	now, day := time.Now(), 24*time.Hour
	got := saved(t, path,
		History{"a": {Rate: 1000, Seen: now}, "b": {Corrupt: now.Add(-6 * day)}, "c": {Rate: 1000, Seen: now, Corrupt: now.Add(-8 * day)}},
		History{"a": {Corrupt: now}, "b": {Rate: 2000, Seen: now}})
	if a := got["a"]; a.Rate != 1000 || !a.Corrupt.Equal(now) {
		t.Errorf("the record of a corrupt source, or when it was found: %+v", a)
	}
	if b := got["b"]; b.Rate != 2000 || !b.Corrupt.Equal(now.Add(-6*day)) {
		t.Errorf("found before a pull that ended well: %+v", b)
	}
	if c := got["c"]; c.Rate != 1000 || !c.Corrupt.IsZero() {
		t.Errorf("found long ago: %+v", c)
	}
}

func TestSavesAtTheSameTimeLoseNothing(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "mirrors.json"), time.Now()
	var saves sync.WaitGroup
	for i := range 20 {
		saves.Go(func() {
			if err := (History{strconv.Itoa(i): {Silent: now}}).Save(path); err != nil {
				t.Error(err)
			}
		})
	}
	saves.Wait()
	if got := LoadHistory(path); len(got) != 20 {
		t.Errorf("%d of 20 records: %v", len(got), got)
	}
}
