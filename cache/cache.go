package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/state"
)

// DefaultLimit is the limit in bytes where the user gives none: 20 GiB.
const DefaultLimit = 20 << 30

// touchInterval is the least time between two changes of a time of last use.
const touchInterval = time.Second

// Cache is a directory of verified blobs.
type Cache struct {
	dir   string
	limit int64
	space func(path string) (free, total int64, known bool) // state.Space

	recent recent
	room   room
}

// DefaultDir returns segpull/blobs in os.UserCacheDir ($XDG_CACHE_HOME or ~/.cache on
// Linux), or "" if that directory is unknown.
func DefaultDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "segpull", "blobs")
}

// New returns the cache in the directory dir, from which Room evicts what is above
// limit, in bytes, or what the disk needs. It reads nothing: a directory that does not exist is an empty
// cache, and the first write creates it.
func New(dir string, limit int64) *Cache {
	return &Cache{dir: dir, limit: limit, space: state.Space}
}

// Dir returns the directory.
func (c *Cache) Dir() string { return c.dir }

// Path returns the path of a blob's file, which exists if the cache has the blob. Callers
// only read it; an eviction may remove it.
func (c *Cache) Path(d digest.Digest) string { return c.blobPath(d) }

// Explain adds to an error of the file system, as the other methods return them, what to do
// about it. It returns other errors, and nil, as they are.
func (c *Cache) Explain(err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if !path && !link {
		return err
	}
	return fmt.Errorf("cannot use the cache %s: %w; give another with --cache-dir", c.dir, err)
}

// Limit returns the limit in bytes.
func (c *Cache) Limit() int64 { return c.limit }

// record is what is known of a blob, whether it is here or not.
type record struct {
	MediaType string               `json:"mediaType,omitempty"`
	Size      int64                `json:"size"`
	Verified  int64                `json:"verified,omitempty"` // modification time of its file when its bytes were right, Unix ns
	Refers    []ocispec.Descriptor `json:"refers"`             // what a manifest or an index names; nil for other blobs
}

// isOf reports whether the record is that of the file as it was verified.
func (r record) isOf(info fs.FileInfo) bool {
	return r.Size == info.Size() && r.Verified == info.ModTime().UnixNano()
}

// record reads the record of a blob, and when that was last used.
func (c *Cache) record(d digest.Digest) (r record, used time.Time, ok bool) {
	used, ok = readJSON(c.recordPath(d), &r)
	return r, used, ok
}

// touch records that a blob is used now.
func (c *Cache) touch(d digest.Digest, used time.Time) {
	if now := time.Now(); now.Sub(used) > touchInterval {
		_ = os.Chtimes(c.recordPath(d), now, now) // another process may have removed it
	}
}

// readJSON reads a small file; ok is false if it is absent or not valid.
func readJSON(path string, v any) (modified time.Time, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, false
	}
	body, err := io.ReadAll(f)
	if err != nil || json.Unmarshal(body, v) != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// change calls fn while no other goroutine or process changes records or names.
func (c *Cache) change(ctx context.Context, fn func() error) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	release, err := state.Lock(ctx, filepath.Join(c.dir, "lock"))
	if err != nil {
		return err
	}
	return errors.Join(fn(), release())
}

// write makes a small file appear whole or not at all. Only change may call it. It does
// not wait for the disk: a file that a loss of power damages is noticed when it is read.
func (c *Cache) write(path string, body []byte) error {
	temp, err := c.temp(body)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (c *Cache) temp(body []byte) (path string, err error) {
	path = filepath.Join(c.dir, "new")
	return path, os.WriteFile(path, body, 0o666)
}

func (c *Cache) writeRecord(d digest.Digest, r record) error {
	return c.write(c.recordPath(d), encode(r))
}

// encode returns a value of plain fields as JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cache: " + err.Error())
	}
	return b
}

// check accepts only SHA-256, in the form that is safe in a path.
func check(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %.100q: %w", d, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %.100q: only sha256 is supported", d)
	}
	return nil
}

func (c *Cache) blobsDir() string { return filepath.Join(c.dir, "blobs", "sha256") }

func (c *Cache) blobPath(d digest.Digest) string   { return filepath.Join(c.blobsDir(), d.Encoded()) }
func (c *Cache) recordsDir() string                { return filepath.Join(c.dir, "records") }
func (c *Cache) recordPath(d digest.Digest) string { return filepath.Join(c.recordsDir(), split(d)) }
func (c *Cache) namesDir() string                  { return filepath.Join(c.dir, "names") }
func (c *Cache) partsDir() string                  { return filepath.Join(c.dir, "parts") }

// partPath is the path of a Part as package state names it.
func (c *Cache) partPath(d digest.Digest) string { return filepath.Join(c.partsDir(), d.Encoded()) }

// split is the path of a record: no directory has all of them.
func split(d digest.Digest) string { return filepath.Join(d.Encoded()[:2], d.Encoded()[2:]) }

// digestOf returns the digest of hexadecimal digits, and whether they are one.
func digestOf(hex string) (digest.Digest, bool) {
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	return d, d.Validate() == nil
}
