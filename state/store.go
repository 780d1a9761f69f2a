package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/segpull/segpull/segment"
)

// Placement says where a blob lies in the part file.
type Placement struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`   // bytes
	Offset int64  `json:"offset"` // bytes
}

func (p Placement) end() int64 { return p.Offset + p.Size }

// Store is a folder that holds the unfinished blobs of one output.
type Store struct {
	// Damaged is told of bytes that were recorded but are not what they
	// should be, and that are now missing. Set it before Blob.Read is called;
	// it is called from many goroutines.
	Damaged func(blob int, r segment.Range)

	dir     string
	root    *os.Root
	lock    *os.File
	part    *os.File
	header  header
	sources []uint16 // where this run's sources stand in header.Sources
	blobs   []*Blob

	mu  sync.Mutex // guards the log
	log *os.File
}

const sidecarName = "state"

// LockedError says that another process works on the same output.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is in use by another segpull: wait for it, or choose another output", e.Dir)
}

// Open opens the folder of the output at path, and makes it where it does not
// exist, for the given blobs, which may not overlap. What an earlier run left
// of these blobs is taken over, wherever in its part file it lay. sources are
// the names that Blob.Write's source is an index of.
func Open(path string, blobs []Placement, sources []string) (*Store, error) {
	dir := Dir(path)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, root: root, Damaged: func(int, segment.Range) {}}
	if err := s.open(path, blobs, sources); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// makeDir makes the folder. One that is there must be a folder, and ours:
// in a folder that all may write to, another user could have laid a trap.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !owned(info) {
		return fmt.Errorf("%s is not a folder of yours: remove it, or choose another output", dir)
	}
	return os.Chmod(dir, 0o700)
}

func (s *Store) open(path string, blobs []Placement, sources []string) error {
	if err := s.acquire(); err != nil {
		return err
	}
	old, records := s.load()
	s.header = header{Part: old.Part, Blobs: blobs, Sources: old.Sources}
	for _, name := range sources {
		s.sources = append(s.sources, s.header.source(name))
	}
	for i, place := range blobs {
		s.blobs = append(s.blobs, &Blob{store: s, index: i, place: place})
	}
	if err := s.inherit(path, old, records); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	return s.sweep()
}

// inherit takes over what an earlier run left.
func (s *Store) inherit(path string, old header, records []record) error {
	from := s.openPart(old.Part)
	if from != nil && slices.Equal(old.Blobs, s.header.Blobs) {
		s.part = from
		for _, r := range records {
			s.blobs[r.blob].replay(r)
		}
		return nil
	}
	if from == nil && len(records) > 0 {
		// That run may have ended just after its part file became the output.
		from = openRegular(path)
	}
	if from != nil {
		defer from.Close()
	}
	return s.rehouse(from, old, records)
}

// load reads the sidecar of an earlier run. One that can't be read means that
// nothing is there.
func (s *Store) load() (header, []record) {
	f, err := s.root.Open(sidecarName)
	if err != nil {
		return header{}, nil
	}
	defer f.Close()
	h, records, err := parseLog(f)
	if err != nil {
		return header{}, nil
	}
	return h, records
}

// openPart opens the part file of an earlier run, if it is a plain file.
func (s *Store) openPart(name string) *os.File {
	if name == "" || name != filepath.Base(name) {
		return nil
	}
	if info, err := s.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := s.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return f
}

func openRegular(path string) *os.File {
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	return f
}

// rehouse makes a new part file, and copies over what an earlier run had of
// the same blobs in another one.
func (s *Store) rehouse(from *os.File, old header, records []record) (err error) {
	s.header.Part = nextPart(old.Part)
	if err := s.root.RemoveAll(s.header.Part); err != nil {
		return err
	}
	if s.part, err = s.root.OpenFile(s.header.Part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil || from == nil {
		return err
	}
	moved := make(map[uint32]*Blob)
	for i, o := range old.Blobs {
		k := slices.IndexFunc(s.header.Blobs, func(p Placement) bool { return p.Digest == o.Digest && p.Size == o.Size })
		if k >= 0 {
			moved[uint32(i)] = s.blobs[k]
		}
	}
	for _, r := range records {
		if b := moved[r.blob]; b != nil {
			if err := b.move(from, old.Blobs[r.blob].Offset, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// move copies the bytes of a record, whose blob lay at offset in another part
// file. Whether they are right is found out when they are read.
func (b *Blob) move(from *os.File, offset int64, r record) error {
	b.replay(r)
	if r.kind != kindHave {
		return nil
	}
	_, err := io.Copy(
		io.NewOffsetWriter(b.store.part, b.place.Offset+r.bytes.Start),
		io.NewSectionReader(from, offset+r.bytes.Start, r.bytes.Len()),
	)
	return err
}

// nextPart is another name than that of the earlier part file.
func nextPart(old string) string {
	if old == "part" {
		return "part2"
	}
	return "part"
}

// begin writes the sidecar anew, with what is known, and opens it for more.
func (s *Store) begin() error {
	text, err := s.header.append(nil)
	if err != nil {
		return err
	}
	for i, b := range s.blobs {
		for _, h := range b.records {
			text = record{kindHave, h.source, uint32(i), h.Range, h.sum}.append(text)
		}
	}
	temporary := sidecarName + ".new"
	if err := s.root.RemoveAll(temporary); err != nil {
		return err
	}
	if s.log, err = s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if _, err := s.log.Write(text); err != nil {
		return err
	}
	if err := s.log.Sync(); err != nil {
		return err
	}
	if info, err := s.root.Lstat(sidecarName); err == nil && info.IsDir() {
		if err := s.root.RemoveAll(sidecarName); err != nil {
			return err
		}
	}
	if err := s.root.Rename(temporary, sidecarName); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// sweep removes what is not of use: a part file that was copied from, what a
// crash left of an assembly.
func (s *Store) sweep() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); !slices.Contains([]string{sidecarName, s.header.Part, lockName}, name) {
			if err := s.root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// append adds a record to the log.
func (s *Store) append(r record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.log.Write(r.append(make([]byte, 0, recordSize)))
	return err
}

// Blob returns the i-th of the blobs that the Store was opened for.
func (s *Store) Blob(i int) *Blob { return s.blobs[i] }

// Write is Blob(blob).Write.
func (s *Store) Write(blob int, off int64, p []byte, source int) error {
	return s.blobs[blob].Write(off, p, source)
}

// Part is the part file, for what stands between the blobs.
func (s *Store) Part() io.WriterAt { return s.part }

// Sync has what is written so far survive a loss of power.
func (s *Store) Sync() error {
	return errors.Join(s.part.Sync(), s.log.Sync())
}

// Create makes a file in the folder, to be filled and given to Promote.
func (s *Store) Create() (*os.File, error) {
	return s.root.OpenFile("output", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// PromotePart makes the part file, cut to size bytes, the file at path.
func (s *Store) PromotePart(path string, size int64) error {
	if err := s.part.Truncate(size); err != nil {
		return err
	}
	return s.promote(s.part, s.header.Part, path)
}

// Promote makes a file of Create the file at path.
func (s *Store) Promote(f *os.File, path string) error {
	return s.promote(f, "output", path)
}

// promote puts a complete file of the folder in its place, so that it is seen
// whole or not at all, through a loss of power too.
func (s *Store) promote(f *os.File, name, path string) error {
	if err := s.publish(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.dir, name), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// publish gives f the permissions that a new file of the user has.
func (s *Store) publish(f *os.File) error {
	const probe = "mode"
	p, err := s.root.OpenFile(probe, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer s.root.Remove(probe)
	defer p.Close()
	info, err := p.Stat()
	if err != nil {
		return err
	}
	return f.Chmod(info.Mode().Perm())
}

// Remove removes the folder; the blobs' sections go on to work.
func (s *Store) Remove() error {
	for _, name := range []string{sidecarName, s.header.Part, "output", lockName} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(s.dir)
}

// Close lets go of the folder, which stays as it is.
func (s *Store) Close() error {
	var errs []error
	for _, f := range []*os.File{s.log, s.part, s.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, s.root.Close())...)
}

// Dir is the folder for the output at path.
func Dir(path string) string {
	return strings.TrimRight(path, string(filepath.Separator)) + ".segpull"
}
