package state

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Follower reads a blob while a Store is being filled with it, perhaps by another process,
// or what an earlier Store has left of it. It changes nothing. It is for one goroutine.
type Follower struct {
	path   string
	digest string
	size   int64

	log, part *os.File // nil: there is none
	header    header
	blob      int   // index in the header
	next      int64 // where the next record begins
	records   haves
}

// Follow returns a Follower of the blob with this digest and size in the directory of the
// output at path, see Dir, which need not exist yet. Call Close.
func Follow(path, digest string, size int64) *Follower {
	return &Follower{path: path, digest: digest, size: size}
}

// Read reads the bytes from off to the end of their record into buf, whose length must be
// at least MaxRecord, and returns their number: 0 if they have not arrived, if they do not
// have the checksum of their record, since they are being replaced, or if the directory
// does not have the blob. Bytes may be replaced after Read: only the digest of the whole
// blob says that they are right. The error is one of the file system.
func (f *Follower) Read(off int64, buf []byte) (n int, err error) {
	if n, err = f.read(off, buf); n > 0 || err != nil {
		return n, err
	}
	if err = f.refresh(); err != nil {
		return 0, err
	}
	return f.read(off, buf)
}

// Arrived reports whether the byte at off has arrived. The error is one of the file system.
func (f *Follower) Arrived(off int64) (bool, error) {
	err := f.refresh()
	_, ok := f.records.at(off)
	return ok, err
}

func (f *Follower) read(off int64, buf []byte) (int, error) {
	h, ok := f.records.at(off)
	if !ok {
		return 0, nil
	}
	if ok, err := h.read(f.part, f.header.Blobs[f.blob], buf[:h.Len()]); !ok || err != nil {
		return 0, err
	}
	return copy(buf, buf[off-h.Start:h.Len()]), nil
}

// refresh reads the records that are new. A Store that was opened since has another log.
func (f *Follower) refresh() error {
	root, err := os.OpenRoot(Dir(f.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	same := false
	if f.log != nil {
		if same, err = names(root, sidecarName, f.log); err != nil {
			return err
		}
	}
	if !same {
		if err := errors.Join(f.Close(), f.open(root)); err != nil {
			return err
		}
	}
	return f.readRecords()
}

// open opens the log and the part file, if they have the blob.
func (f *Follower) open(root *os.Root) (err error) {
	if f.log, err = openPlain(root, sidecarName, os.O_RDONLY); f.log == nil {
		return err
	}
	h, err := parseHeader(f.log)
	i := slices.IndexFunc(h.Blobs, func(p Placement) bool { return p.Digest == f.digest && p.Size == f.size })
	if err == nil && i >= 0 && slices.Contains(partNames, h.Part) {
		if f.part, err = openPlain(root, h.Part, os.O_RDONLY); f.part != nil {
			f.header, f.blob = h, i
			f.next, err = f.log.Seek(0, io.SeekCurrent)
			return err
		}
	}
	if errors.Is(err, errSidecar) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// readRecords reads the records from next on. The last one may be a part of what is being
// written: it is read again.
func (f *Follower) readRecords() error {
	if f.log == nil {
		return nil
	}
	in := bufio.NewReader(io.NewSectionReader(f.log, f.next, maxSidecar))
	for {
		var b [recordSize]byte
		if _, err := io.ReadFull(in, b[:]); cutShort(err) {
			return nil
		} else if err != nil {
			return err
		}
		r, ok := parseRecord(b[:])
		if !ok {
			if _, err := in.Peek(1); err == io.EOF {
				return nil
			}
		}
		if f.next += recordSize; ok && f.header.fits(r) && int(r.blob) == f.blob {
			f.records.replay(r)
		}
	}
}

// Close closes the files.
func (f *Follower) Close() (err error) {
	for _, file := range []*os.File{f.log, f.part} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	f.log, f.part, f.records = nil, nil, nil
	return err
}
