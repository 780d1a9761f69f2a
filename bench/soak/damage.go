package soak

import (
	"fmt"
	"os"
	"path/filepath"
)

// wound is damage that is done to files between two runs. Fractions are of a
// file's size, as that is known only then.
type wound struct {
	what   string
	file   string // "part", "state", output or memory
	at     float64
	length int64
	seed   uint64
}

const (
	memory     = "mirrors.json" // what segpull remembers of mirrors
	outputName = "image"        // what a run may have made before
)

func drawWound(d dice) wound {
	w := wound{
		what: pick(d, "flip", "flip", "truncate", "grow", "garbage", "remove", "folder", "link"),
		file: pick(d, "part", "part", "state", "state", outputName, memory),
		at:   d.Float64(), length: d.size(1, 64*kib), seed: d.Uint64(),
	}
	if w.file == outputName && w.what == "folder" {
		w.what = "remove" // segpull refuses to replace a folder
	}
	return w
}

func (w wound) String() string {
	return fmt.Sprintf("%s of %s (%d bytes at %.2f)", w.what, w.file, w.length, w.at)
}

// inflict does it to the file, where there is one. A bystander is a file
// elsewhere that links lead to.
func (w wound) inflict(path, bystander string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	at := int64(w.at * float64(info.Size()))
	switch w.what {
	case "flip":
		return flip(path, at, min(w.length, info.Size()-at))
	case "truncate":
		return os.Truncate(path, at)
	case "grow":
		return os.Truncate(path, info.Size()+w.length)
	case "garbage":
		return os.WriteFile(path, noise(w.seed, w.length), 0o600)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	switch w.what {
	case "folder":
		return os.MkdirAll(filepath.Join(path, "folder"), 0o700)
	case "link":
		return os.Symlink(bystander, path)
	}
	return nil
}

func noise(seed uint64, n int64) []byte {
	b := make([]byte, n)
	d := newDice(seed, 0)
	for i := range b {
		b[i] = byte(d.Uint32())
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
