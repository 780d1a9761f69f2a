package soak

import (
	"fmt"
	"os"
	"path/filepath"
)

// damage is a change to a file between two attempts. Positions are fractions of
// the file's size, which is known only then.
type damage struct {
	kind   string
	file   string // "part", "state", outputName or memoryName
	at     float64
	length int64
	seed   uint64
}

const (
	memoryName = "mirrors.json" // where segpull remembers mirrors
	outputName = "image"        // which an earlier attempt may have made
)

func drawDamage(rnd random) damage {
	d := damage{
		kind: pick(rnd, "flip", "flip", "truncate", "grow", "garbage", "remove", "directory", "link"),
		file: pick(rnd, "part", "part", "state", "state", outputName, memoryName),
		at:   rnd.Float64(), length: rnd.size(1, 64*kib), seed: rnd.Uint64(),
	}
	if d.file == outputName && d.kind == "directory" {
		d.kind = "remove" // segpull refuses to replace a directory
	}
	return d
}

func (d damage) String() string {
	return fmt.Sprintf("%s of %s (%d bytes at %.2f)", d.kind, d.file, d.length, d.at)
}

// apply changes the file, if it exists. Links lead to target.
func (d damage) apply(path, target string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	at := int64(d.at * float64(info.Size()))
	switch d.kind {
	case "flip":
		return flip(path, at, min(d.length, info.Size()-at))
	case "truncate":
		return os.Truncate(path, at)
	case "grow":
		return os.Truncate(path, info.Size()+d.length)
	case "garbage":
		return os.WriteFile(path, noise(d.seed, d.length), 0o600)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	switch d.kind {
	case "directory":
		return os.MkdirAll(filepath.Join(path, "directory"), 0o700)
	case "link":
		return os.Symlink(target, path)
	}
	return nil
}

func noise(seed uint64, n int64) []byte {
	b := make([]byte, n)
	rnd := newRandom(seed, 0)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// flip inverts bytes of a file.
func flip(path string, at, n int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	for i := range b {
		b[i] = ^b[i]
	}
	_, err = f.WriteAt(b, at)
	return err
}
