package download

import (
	"context"
	"errors"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/output"
	"github.com/segpull/segpull/state"
)

// Missing returns how many bytes of each blob a download would fetch: those that neither the
// part directory nor the cache nor the layout that is the output has, nor the descriptor. c
// may be nil. It changes nothing but the time when the cache's blobs were last used.
func Missing(ctx context.Context, place *output.Place, blobs []ocispec.Descriptor, c *cache.Cache) (map[digest.Digest]int64, error) {
	missing, recorded := make(map[digest.Digest]int64), state.Recorded(place.Work)
	for _, b := range blobs {
		there, err := elsewhere(ctx, place, b, c)
		if err != nil {
			return nil, err
		}
		missing[b.Digest] = b.Size - max(there, recorded[b.Digest.String()])
	}
	return missing, nil
}

// elsewhere returns how many bytes of a blob there are outside of the part directory.
func elsewhere(ctx context.Context, place *output.Place, b ocispec.Descriptor, c *cache.Cache) (int64, error) {
	if _, ok := image.Inline(b); ok {
		return b.Size, nil
	}
	if f, err := place.OpenBlob(ctx, b); err == nil {
		return b.Size, f.Close()
	}
	if c == nil {
		return 0, context.Cause(ctx)
	}
	f, err := c.Open(ctx, b.Digest)
	switch {
	case err == nil:
		return b.Size, f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return c.Arrived(b.Digest), nil
	}
	return 0, c.Explain(err)
}
