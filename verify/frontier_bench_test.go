package verify_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/segpull/segpull/verify"
)

// present is a blob that is there already.
type present []byte

func (p present) Wait(context.Context, int64) error { return nil }

func (p present) Read(off int64, buf []byte) (int, error) {
	return copy(buf[:verify.MaxRun], p[off:]), nil
}

// BenchmarkFrontier hashes 16 MiB; the floor is SHA-256 alone.
func BenchmarkFrontier(b *testing.B) {
	blob := make(present, 16<<20)
	sum := sha256.Sum256(blob)
	want := "sha256:" + hex.EncodeToString(sum[:])
	b.Run("frontier", func(b *testing.B) {
		b.SetBytes(int64(len(blob)))
		b.ReportAllocs()
		for b.Loop() {
			var f verify.Frontier
			if err := f.Blob(b.Context(), blob, want, int64(len(blob))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SHA-256 alone", func(b *testing.B) {
		b.SetBytes(int64(len(blob)))
		for b.Loop() {
			sha256.Sum256(blob)
		}
	})
}
