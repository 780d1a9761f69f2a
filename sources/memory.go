package sources

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Habits is what earlier pulls measured of a source. It helps the next pull to
// start well, and is only a hint.
type Habits struct {
	Connections int       `json:"connections,omitempty"` // that were worth having
	Request     int64     `json:"request,omitempty"`     // bytes to ask for at once
	Rate        int64     `json:"rate,omitempty"`        // bytes a second of one connection
	Ranges      bool      `json:"ranges,omitempty"`      // it serves parts of blobs
	Seen        time.Time `json:"seen,omitzero"`
	Corrupt     time.Time `json:"corrupt,omitzero"` // when it last was found to send wrong bytes
}

// Memory is what is known of sources from earlier pulls, by name. It is not
// safe for concurrent use.
type Memory map[string]Habits

const (
	// remembered is how long habits are useful: networks and mirrors change.
	remembered = 30 * 24 * time.Hour
	// corruptRemembered is how long a source counts as corrupt: its operator may
	// repair it.
	corruptRemembered = 7 * 24 * time.Hour
	maxMemory         = 1 << 20
)

// MemoryPath is the path of the memory: segpull/mirrors.json in $XDG_CACHE_HOME
// or its equivalent on this system, "" without such a directory.
func MemoryPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "segpull", "mirrors.json")
}

// Recall reads the memory at path. If it is missing, broken, old, or not a file,
// Recall returns what it can read, and no error.
func Recall(path string) Memory {
	m := make(Memory)
	f, err := openRegular(path)
	if err != nil {
		return m
	}
	defer f.Close()
	var stored Memory
	if json.NewDecoder(io.LimitReader(f, maxMemory)).Decode(&stored) != nil {
		return m
	}
	for name, h := range stored {
		if h = h.recent(); h != (Habits{}) {
			m[name] = h
		}
	}
	return m
}

// openRegular opens a file, and nothing else: a pipe would wait for its other
// end. O_NONBLOCK means nothing for files, and nothing at all on Windows.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New(path+" is not a regular file"), f.Close())
	}
	return f, nil
}

// recent is h without what is too old, or of the future.
func (h Habits) recent() Habits {
	var r Habits
	if within(h.Seen, remembered) {
		r = h
	}
	r.Corrupt = time.Time{}
	if within(h.Corrupt, corruptRemembered) {
		r.Corrupt = h.Corrupt
	}
	return r
}

func within(t time.Time, most time.Duration) bool {
	age := time.Since(t)
	return age >= 0 && age < most
}

// after merges h, which is newer, into the other.
func (h Habits) after(before Habits) Habits {
	if h.Corrupt.IsZero() {
		h.Corrupt = before.Corrupt
	}
	if h.Seen.IsZero() {
		before.Corrupt = h.Corrupt
		return before
	}
	return h
}

// Keep merges m into the memory at path, which other pulls may have changed
// meanwhile. It replaces entries that are of no use.
func (m Memory) Keep(path string) error {
	if path == "" || len(m) == 0 {
		return nil
	}
	all := Recall(path)
	for name, h := range m {
		all[name] = h.after(all[name])
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "mirrors-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
