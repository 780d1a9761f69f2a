package output

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// blobDirectory is where image layouts keep blobs, by the hex of their
	// SHA-256.
	blobDirectory = "blobs/sha256/"
	// unfinished is the prefix of files that a kill may leave in an image
	// layout.
	unfinished = ".segpull-"
	// maxDocument is the size up to which a file's bytes are kept. Manifests
	// and configs are smaller; most layers are larger.
	maxDocument = 1 << 20
)

// File is a file of an archive, or of a directory.
type File struct {
	Digest string // sha256:…
	Body   []byte // of documents only
	Link   string // target of a symbolic link
}

// Files are the files of an archive by name.
type Files map[string]File

// Check reads an archive and calls CheckBlobs on it.
func Check(path string, wanted ...string) error {
	files, err := Read(path)
	if err == nil {
		err = files.CheckBlobs(wanted...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CheckBlobs fails unless each blob has the digest in its name, and all wanted
// digests (sha256:…) are there.
func (files Files) CheckBlobs(wanted ...string) error {
	for _, encoded := range files.Blobs() {
		if f := files[blobDirectory+encoded]; f.Digest != "sha256:"+encoded {
			return fmt.Errorf("blob %s has the digest %s", encoded, f.Digest)
		}
	}
	for _, digest := range wanted {
		if _, ok := files[blobDirectory+strings.TrimPrefix(digest, "sha256:")]; !ok {
			return fmt.Errorf("blob %s is missing", digest)
		}
	}
	return nil
}

// Blobs lists the blobs by the names that they have in blobDirectory.
func (files Files) Blobs() (names []string) {
	for name := range files {
		if blob, ok := strings.CutPrefix(name, blobDirectory); ok && !strings.HasPrefix(blob, unfinished) {
			names = append(names, blob)
		}
	}
	return names
}

// Read hashes all files of a tar, or of a directory.
func Read(path string) (Files, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return readDirectory(path)
	}
	return readTar(f)
}

func readTar(r io.Reader) (Files, error) {
	files := Files{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if files[header.Name], err = readFile(archive, header.Linkname); err != nil {
			return nil, err
		}
	}
}

func readDirectory(dir string) (Files, error) {
	files := Files{}
	return files, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = readFile(f, "")
		return err
	})
}

func readFile(r io.Reader, link string) (File, error) {
	hash := sha256.New()
	start := &head{max: maxDocument}
	n, err := io.Copy(io.MultiWriter(hash, start), r)
	f := File{Digest: "sha256:" + hex.EncodeToString(hash.Sum(nil)), Link: link}
	if n <= maxDocument {
		f.Body = start.bytes
	}
	return f, err
}

// head keeps the beginning of what is written to it.
type head struct {
	max   int
	bytes []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.bytes = append(h.bytes, p[:min(len(p), h.max-len(h.bytes))]...)
	return len(p), nil
}
