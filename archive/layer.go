package archive

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/image"
)

const (
	// maxWindow is the most memory a zstd layer may ask for, in bytes; the zstd tool refuses more too.
	maxWindow = 128 << 20

	// maxMeasured is how many layers are decompressed at the same time, each with a window in memory.
	maxMeasured = 4
)

// tarLayer is what a layer is when decompressed.
type tarLayer struct {
	diffID digest.Digest
	size   int64
}

// measure returns the size of each layer decompressed, having checked it against its diff ID.
func measure(ctx context.Context, layers []ocispec.Descriptor, diffIDs []digest.Digest, blobs Blobs) ([]int64, error) {
	measured := make(map[digest.Digest]*tarLayer)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(runtime.GOMAXPROCS(0), maxMeasured))
	for _, layer := range layers {
		if measured[layer.Digest] != nil {
			continue
		}
		m := new(tarLayer)
		measured[layer.Digest] = m
		group.Go(func() (err error) {
			*m, err = decompressed(ctx, blobs, layer)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	sizes := make([]int64, len(layers))
	for i, layer := range layers {
		m := measured[layer.Digest]
		if m.diffID != diffIDs[i] {
			return nil, fmt.Errorf("layer %s decompresses to %s, but its config says %.100q; choose another format to have it as it is",
				layer.Digest, m.diffID, diffIDs[i])
		}
		sizes[i] = m.size
	}
	return sizes, nil
}

func decompressed(ctx context.Context, blobs Blobs, layer ocispec.Descriptor) (tarLayer, error) {
	r, err := openLayer(blobs, layer)
	if err != nil {
		return tarLayer{}, err
	}
	defer r.Close()
	sum := digest.SHA256.Digester()
	size, err := copyStream(ctx, sum.Hash(), io.LimitReader(r, image.MaxBlobSize+1))
	if err != nil {
		return tarLayer{}, fmt.Errorf("layer %s: %w", layer.Digest, err)
	}
	if size > image.MaxBlobSize {
		return tarLayer{}, fmt.Errorf("layer %s decompresses to more than %d bytes", layer.Digest, image.MaxBlobSize)
	}
	return tarLayer{sum.Digest(), size}, nil
}

// openLayer returns a layer decompressed.
func openLayer(blobs Blobs, layer ocispec.Descriptor) (io.ReadCloser, error) {
	section, err := open(blobs, layer)
	if err != nil {
		return nil, err
	}
	r, err := Decompress(bufio.NewReaderSize(section, copyBuffer), maxWindow)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", layer.Digest, err)
	}
	return r, nil
}

// ErrWindow is the error of what would need more memory than it may have.
var ErrWindow = zstd.ErrWindowSizeExceeded

// Decompress reads what r has, decompressed, with a window of so many bytes at most. Its first bytes tell how a
// layer is compressed, as Docker goes by them: media types have been wrong. It reads no further in r than it has to.
func Decompress(r *bufio.Reader, window uint64) (io.ReadCloser, error) {
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF { // a shorter layer is not compressed
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b, 0x08}): // RFC 1952, 2.3.1
		return gzip.NewReader(r)
	case isZstd(magic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// isZstd also takes a skippable frame at the start, which pzstd writes (RFC 8878, 3.1.1 and 3.1.2).
func isZstd(magic []byte) bool {
	return bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}
