package archive

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/layer"
)

const (
	// maxWindow is the largest window of a zstd layer, in bytes; the zstd tool refuses more too.
	maxWindow = 128 << 20

	// maxMeasured is the most layers to decompress at the same time, each with a window in memory.
	maxMeasured = 4
)

// tarLayer describes a decompressed layer.
type tarLayer struct {
	diffID digest.Digest
	size   int64
}

// measure returns the decompressed size of each layer, and checks each against its diff ID.
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
			return nil, fmt.Errorf("layer %s decompresses to %s, but its config says %.100q; choose another format to keep it as it is",
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

// openLayer returns the decompressed bytes of a layer.
func openLayer(blobs Blobs, d ocispec.Descriptor) (io.ReadCloser, error) {
	section, err := open(blobs, d)
	if err != nil {
		return nil, err
	}
	r, err := layer.Decompress(bufio.NewReaderSize(section, copyBuffer), maxWindow)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	return r, nil
}
