package main

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
	blobFolder = "blobs/sha256/"

	// maxDocument is the most that is kept of a file in an archive: manifests
	// and their like, not layers.
	maxDocument = 1 << 20
)

// packed is a file in an archive, or in a folder in its place.
type packed struct {
	digest string // sha256:…
	body   []byte // of documents alone
	link   string // where a symbolic link leads
}

// checkArchive hashes every blob of a docker-archive or oci-archive, and
// fails unless each has the digest that it is named by and all the wanted
// ones are there. Digests are sha256:….
func checkArchive(path string, wanted ...string) error {
	files, err := readArchive(path)
	if err == nil {
		err = checkBlobs(files, wanted...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func checkBlobs(files map[string]packed, wanted ...string) error {
	for name, f := range files {
		encoded, ok := strings.CutPrefix(name, blobFolder)
		if ok && !strings.HasPrefix(encoded, unfinished) && f.digest != "sha256:"+encoded {
			return fmt.Errorf("blob %s has the digest %s", encoded, f.digest)
		}
	}
	for _, digest := range wanted {
		if _, ok := files[blobFolder+strings.TrimPrefix(digest, "sha256:")]; !ok {
			return fmt.Errorf("blob %s is missing", digest)
		}
	}
	return nil
}

// readArchive hashes all files of a tar, or of a folder.
func readArchive(path string) (map[string]packed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return readFolder(path)
	}
	files := map[string]packed{}
	for archive := tar.NewReader(f); ; {
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
		if files[header.Name], err = readPacked(archive, header.Linkname); err != nil {
			return nil, err
		}
	}
}

func readFolder(dir string) (map[string]packed, error) {
	files := map[string]packed{}
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
		files[filepath.ToSlash(name)], err = readPacked(f, "")
		return err
	})
}

func readPacked(r io.Reader, link string) (packed, error) {
	hash := sha256.New()
	start := &head{max: maxDocument}
	n, err := io.Copy(io.MultiWriter(hash, start), r)
	f := packed{digest: "sha256:" + hex.EncodeToString(hash.Sum(nil)), link: link}
	if n <= maxDocument {
		f.body = start.bytes
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
