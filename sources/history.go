package sources

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Record is what earlier pulls measured of a source. The next pull starts with
// these numbers and measures again. The zero Record says nothing.
type Record struct {
	Connections int       `json:"connections,omitempty"` // how many made the pull faster
	Rate        int64     `json:"rate,omitempty"`        // bytes a second of one connection
	Burst       int       `json:"burst,omitempty"`       // requests that it answered in a row before it refused one
	PerMinute   float64   `json:"per_minute,omitempty"`  // requests a minute that it answered after that; 0: as many as it got
	Seen        time.Time `json:"seen,omitzero"`         // when all of the above was measured
	Corrupt     time.Time `json:"corrupt,omitzero"`      // when it last sent wrong bytes; zero: never
	Silent      time.Time `json:"silent,omitzero"`       // when it last did not answer for a tag; zero: never
}

// History is what earlier pulls measured of sources, by Source.Name. It is not
// safe for concurrent use.
type History map[string]Record

const (
	// recordLasts is how long a record is useful: networks and mirrors change.
	recordLasts = 30 * 24 * time.Hour
	// corruptLasts is how long a source counts as corrupt: its operator may
	// repair it.
	corruptLasts = 7 * 24 * time.Hour
	maxHistory   = 1 << 20
)

// HistoryPath returns the file in which the command keeps the history:
// segpull/mirrors.json in os.UserCacheDir ($XDG_CACHE_HOME or ~/.cache on Linux),
// or "" if that directory is unknown.
func HistoryPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "segpull", "mirrors.json")
}

// LoadHistory reads the history in the file at path, of which it reads at most 1
// MiB. It leaves out records that are older than 30 days, Corrupt after 7 days, and
// Silent after 10 minutes. A history only makes the next pull faster, so there is no
// error: of a file that is missing, not regular or not valid JSON, LoadHistory returns
// an empty History.
func LoadHistory(path string) History {
	h := make(History)
	f, err := openRegular(path)
	if err != nil {
		return h
	}
	defer f.Close()
	var stored History
	if json.NewDecoder(io.LimitReader(f, maxHistory)).Decode(&stored) != nil {
		return h
	}
	for name, record := range stored {
		if record = record.recent(); record != (Record{}) {
			h[name] = record
		}
	}
	return h
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

// recent returns r without what is too old, or in the future.
func (r Record) recent() Record {
	var recent Record
	if within(r.Seen, recordLasts) {
		recent = r
	}
	recent.Corrupt, recent.Silent = ifWithin(r.Corrupt, corruptLasts), ifWithin(r.Silent, silenceLasts)
	return recent
}

// ifWithin returns t, or zero if that is too long ago or in the future.
func ifWithin(t time.Time, most time.Duration) time.Time {
	if within(t, most) {
		return t
	}
	return time.Time{}
}

func within(t time.Time, most time.Duration) bool {
	age := time.Since(t)
	return age >= 0 && age < most
}

// after returns r, which is newer, with what only the record before it says.
func (r Record) after(before Record) Record {
	if r.Corrupt.IsZero() {
		r.Corrupt = before.Corrupt
	}
	if r.Silent.IsZero() {
		r.Silent = before.Silent
	}
	if r.Seen.IsZero() {
		before.Corrupt, before.Silent = r.Corrupt, r.Silent
		return before
	}
	return r
}

// saving keeps two pulls of this process from losing what the other one saves.
var saving sync.Mutex

// Save merges h into the history in the file at path, which other pulls may have
// changed since it was read, and replaces that file in one step. Save does nothing
// if path is "" or h is empty.
func (h History) Save(path string) error {
	if path == "" || len(h) == 0 {
		return nil
	}
	saving.Lock()
	defer saving.Unlock()
	all := LoadHistory(path)
	for name, record := range h {
		all[name] = record.after(all[name])
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
