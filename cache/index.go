package cache

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// index is what the directory has at one moment.
type index struct {
	blobs   map[digest.Digest]entry
	roots   []*root
	shared  map[digest.Digest]int // how many roots need a blob
	parts   []part
	orphans []digest.Digest // blobs and records that no root needs
}

// entry is a blob, or the record of one that is not here.
type entry struct {
	record
	here bool
	used time.Time
}

// root is an image: a manifest that has a name, or to which no other refers, with all
// that it needs.
type root struct {
	digest digest.Digest
	names  []Name
	blobs  []digest.Digest // root, manifests, configs and layers, each once, whether here or not
	used   time.Time       // of its manifests, or when its names were set if none is here
}

// part is a Part, running or left by an earlier process.
type part struct {
	digest digest.Digest
	size   int64 // bytes
	used   time.Time
}

// scan reads the directory. What disappears meanwhile is left out.
func (c *Cache) scan(ctx context.Context) (*index, error) {
	x := &index{blobs: make(map[digest.Digest]entry), shared: make(map[digest.Digest]int)}
	names := make(map[digest.Digest][]Name)
	set := make(map[digest.Digest]time.Time)
	// Blobs complete the entries of records.
	if err := cmp.Or(c.scanRecords(ctx, x), c.scanBlobs(x), c.scanNames(names, set), c.scanParts(x)); err != nil {
		return nil, err
	}
	x.findRoots(names, set)
	return x, nil
}

func (c *Cache) scanRecords(ctx context.Context, x *index) error {
	return walk(c.recordsDir(), func(path string, _ fs.DirEntry) error {
		if d, ok := digestOf(filepath.Base(filepath.Dir(path)) + filepath.Base(path)); ok {
			if r, used, ok := c.record(d); ok {
				x.blobs[d] = entry{record: r, used: used}
			}
		}
		return context.Cause(ctx)
	})
}

func (c *Cache) scanBlobs(x *index) error {
	return walk(c.blobsDir(), func(_ string, file fs.DirEntry) error {
		d, ok := digestOf(file.Name())
		info, err := file.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			return nil
		}
		e, known := x.blobs[d]
		if !known {
			e.used = info.ModTime()
		}
		e.Size, e.here = info.Size(), true
		x.blobs[d] = e
		return nil
	})
}

func (c *Cache) scanNames(names map[digest.Digest][]Name, set map[digest.Digest]time.Time) error {
	return walk(c.namesDir(), func(path string, _ fs.DirEntry) error {
		if n, at, ok := readName(path); ok {
			names[n.Digest] = append(names[n.Digest], n)
			if at.After(set[n.Digest]) {
				set[n.Digest] = at
			}
		}
		return nil
	})
}

func (c *Cache) scanParts(x *index) error {
	return walk(c.partsDir(), func(path string, file fs.DirEntry) error {
		hex, _ := strings.CutSuffix(filepath.Base(filepath.Dir(path)), ".segpull")
		d, ok := digestOf(hex)
		info, err := file.Info()
		if !ok || err != nil {
			return nil
		}
		if n := len(x.parts); n == 0 || x.parts[n-1].digest != d {
			x.parts = append(x.parts, part{digest: d})
		}
		p := &x.parts[len(x.parts)-1]
		p.size += info.Size()
		if info.ModTime().After(p.used) {
			p.used = info.ModTime()
		}
		return nil
	})
}

// walk calls fn for each file under dir, which may not exist.
func walk(dir string, fn func(path string, file fs.DirEntry) error) error {
	return filepath.WalkDir(dir, func(path string, file fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || file.IsDir():
			return err
		}
		return fn(path, file)
	})
}

// findRoots sorts blobs by the images that need them. set says when names were set.
func (x *index) findRoots(names map[digest.Digest][]Name, set map[digest.Digest]time.Time) {
	inner := make(map[digest.Digest]bool)
	for d, e := range x.blobs {
		for _, r := range e.Refers {
			inner[r.Digest] = inner[r.Digest] || e.here && r.Digest != d
		}
	}
	for d, e := range x.blobs {
		if _, named := names[d]; !named && e.here && e.Refers != nil && !inner[d] {
			names[d] = nil
		}
	}
	for _, d := range slices.Sorted(maps.Keys(names)) {
		r := &root{digest: d, names: names[d]}
		x.needs(r, d)
		if r.used.IsZero() {
			r.used = set[d]
		}
		for _, b := range r.blobs {
			x.shared[b]++
		}
		x.roots = append(x.roots, r)
	}
	for d := range x.blobs {
		if x.shared[d] == 0 {
			x.orphans = append(x.orphans, d)
		}
	}
}

// needs adds a blob to a root, and all to which it refers.
func (x *index) needs(r *root, d digest.Digest) {
	if slices.Contains(r.blobs, d) {
		return
	}
	r.blobs = append(r.blobs, d)
	e := x.blobs[d]
	if !e.here || e.Refers == nil {
		return
	}
	if e.used.After(r.used) {
		r.used = e.used
	}
	for _, b := range e.Refers {
		x.needs(r, b.Digest)
	}
}

// size returns the bytes of all blobs and parts, without a look at records.
func (c *Cache) size() (n int64, err error) {
	for _, dir := range []string{c.blobsDir(), c.partsDir()} {
		err = errors.Join(err, walk(dir, func(_ string, file fs.DirEntry) error {
			if info, err := file.Info(); err == nil {
				n += info.Size()
			}
			return nil
		}))
	}
	return n, err
}

// remove removes a file that may not exist.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
