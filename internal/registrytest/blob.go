package registrytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob is content with its descriptor. Several goroutines may read it at the same time.
// The blobs of this package are generated while they are read, so large ones need no
// memory.
type Blob struct {
	ocispec.Descriptor
	io.ReaderAt
}

// NewBlob returns the blob of the bytes b.
func NewBlob(mediaType string, b []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))},
		ReaderAt:   bytes.NewReader(b),
	}
}

// RandomBlob returns a blob of size bytes that do not compress. The same seed gives the
// same bytes, and a longer blob begins with the bytes of a shorter one.
func RandomBlob(seed uint64, size int64) Blob {
	return newBlob("application/octet-stream", section(newNoise(seed), size))
}

// Bytes reads the whole blob into memory.
func (b Blob) Bytes() []byte {
	p := make([]byte, b.Size)
	if _, err := b.ReadAt(p, 0); err != nil && err != io.EOF {
		panic(fmt.Sprintf("registrytest: blob %s cannot be read: %v", b.Digest, err))
	}
	return p
}

func newBlob(mediaType string, content *io.SectionReader) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digestOf(content), Size: content.Size()},
		ReaderAt:   content,
	}
}

func digestOf(content *io.SectionReader) digest.Digest {
	hash := sha256.New()
	copyAll(hash, content)
	return digest.NewDigest(digest.SHA256, hash)
}

// copyAll writes a section whose reads cannot fail.
func copyAll(w io.Writer, content *io.SectionReader) {
	r := struct{ io.Reader }{section(content, content.Size())} // hides WriteTo, whose buffer is small
	if _, err := io.CopyBuffer(w, r, make([]byte, min(content.Size()+1, 256<<10))); err != nil {
		panic(fmt.Sprintf("registrytest: generated content cannot be read: %v", err))
	}
}

// section returns the first size bytes of r.
func section(r io.ReaderAt, size int64) *io.SectionReader {
	return io.NewSectionReader(r, 0, size)
}

// noise is an endless stream of pseudo-random bytes that can be read anywhere:
// word i is SplitMix64 at i.
type noise struct{ seed uint64 }

func newNoise(seed uint64) noise { return noise{mix(seed + 1)} }

func (n noise) word(i uint64) uint64 { return mix(n.seed + i*0x9e3779b97f4a7c15) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ReadAt always fills p.
func (n noise) ReadAt(p []byte, off int64) (int, error) {
	i, skip := uint64(off)/8, off%8
	done := 0
	if skip > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], n.word(i))
		done = copy(p, w[skip:])
		i++
	}
	for ; len(p)-done >= 8; done += 8 {
		binary.LittleEndian.PutUint64(p[done:], n.word(i))
		i++
	}
	if done < len(p) {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], n.word(i))
		done += copy(p[done:], w[:])
	}
	return done, nil
}

// concat is the concatenation of several sections.
type concat []*io.SectionReader

func newConcat(parts ...*io.SectionReader) *io.SectionReader {
	var size int64
	for _, part := range parts {
		size += part.Size()
	}
	return section(concat(parts), size)
}

func (c concat) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for _, part := range c {
		if off >= part.Size() {
			off -= part.Size()
			continue
		}
		n, err := part.ReadAt(p[done:], off)
		done, off = done+n, 0
		if done == len(p) {
			return done, nil
		}
		if err != io.EOF {
			return done, err
		}
	}
	return done, io.EOF
}
