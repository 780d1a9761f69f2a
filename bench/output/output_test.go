package output

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
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
		for file, body := range map[string]string{"manifest.json": "[]", blobDirectory + name: content} {
			if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(body))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	if err := Check(archive("layer"), "sha256:"+name); err != nil {
		t.Errorf("a correct archive: %v", err)
	}
	if Check(archive("other"), "sha256:"+name) == nil {
		t.Error("Check accepts a blob with other bytes")
	}
	if Check(archive("layer"), "sha256:"+name, "sha256:missing") == nil {
		t.Error("Check accepts an archive without a blob")
	}
}
