package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckArchive(t *testing.T) {
	sum := sha256.Sum256([]byte("layer"))
	name := hex.EncodeToString(sum[:])
	archive := func(content string) string {
		path := filepath.Join(t.TempDir(), "image.tar")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w := tar.NewWriter(f)
		defer w.Close()
		for file, body := range map[string]string{"manifest.json": "[]", blobFolder + name: content} {
			if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(body))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	if err := checkArchive(archive("layer"), "sha256:"+name); err != nil {
		t.Errorf("a right archive: %v", err)
	}
	if checkArchive(archive("liar!"), "sha256:"+name) == nil {
		t.Error("a blob with other bytes was taken")
	}
	if checkArchive(archive("layer"), "sha256:"+name, "sha256:missing") == nil {
		t.Error("a missing blob was not missed")
	}
}
