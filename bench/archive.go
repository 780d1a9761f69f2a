package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const blobFolder = "blobs/sha256/"

// checkArchive hashes every blob of a docker-archive or oci-archive, and
// fails unless each has the digest that it is named by and all the wanted
// ones are there. Digests are sha256:….
func checkArchive(path string, wanted ...string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := hashBlobs(tar.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, digest := range wanted {
		if !found[digest] {
			return fmt.Errorf("%s: blob %s is missing", path, digest)
		}
	}
	return nil
}

func hashBlobs(archive *tar.Reader) (found map[string]bool, err error) {
	found = map[string]bool{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(header.Name, blobFolder)
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, archive); err != nil {
			return nil, err
		}
		if sum := hex.EncodeToString(hash.Sum(nil)); sum != name {
			return nil, fmt.Errorf("blob %s has the digest %s", name, sum)
		}
		found["sha256:"+name] = true
	}
}
