package archive

import (
	"io"
	"math/rand/v2"
	"testing"
)

// BenchmarkWrite streams an image with a layer of 16 MiB that hardly shrinks.
// docker-archive and oci-archive copy it; legacy unpacks it.
func BenchmarkWrite(b *testing.B) {
	noise := make([]byte, 16<<20)
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(dice.Uint32())
	}
	for _, bench := range []struct {
		name   string
		layer  testLayer
		format Format
	}{
		{"docker-archive", gzipped(string(noise)), DockerArchive},
		{"oci-archive", gzipped(string(noise)), OCIArchive},
		{"legacy from gzip", gzipped(string(noise)), Legacy},
		{"legacy from zstd", zstandard(string(noise)), Legacy},
	} {
		b.Run(bench.name, func(b *testing.B) {
			img, blobs := newImage("ubuntu:22.04", bench.layer)
			b.SetBytes(int64(len(bench.layer.compressed)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Write(b.Context(), io.Discard, img, bench.format, blobs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
