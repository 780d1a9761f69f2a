package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"
)

const (
	tarBlock   = 512
	tarTrailer = 2 * tarBlock // POSIX.1-1988: two blocks of zeros end an archive
)

// epoch is the time of every entry, so that the same image gives the same bytes.
var epoch = time.Unix(0, 0)

// The modes are those of docker save.

func fileHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch}
}

func dirHeader(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: epoch}
}

func linkHeader(name, target string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: epoch}
}

// headerBytes encodes a header: one block, or three if the size is above 8 GiB, which needs a PAX record.
func headerBytes(h *tar.Header) ([]byte, error) {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("tar entry %s: %w", h.Name, err)
	}
	return buf.Bytes(), nil
}

// padding returns the number of zeros that fill the last block of an entry.
func padding(size int64) int { return int(-size & (tarBlock - 1)) }
