package deliver

import (
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/internal/again"
	"github.com/segpull/segpull/sources"
)

// mostAsked is how many blobs of an image a server is asked for at once. It fetches an
// image as a whole, so this only bounds connections.
const mostAsked = 16

// Ask asks a server for the blobs of a repository, whose manifests it has sent, and returns
// when it has verified them. has is called for each, by one goroutine or another; trouble
// gets the errors of requests that are made again. Errors have the methods of those of
// [sources.Source.Open].
func Ask(ctx context.Context, server *sources.Source, repository string, blobs []ocispec.Descriptor, has func(i int), trouble func(source string, err error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostAsked)
	for i, b := range blobs {
		group.Go(func() error {
			err := again.Do(ctx, func(err error) { trouble(server.Name(), err) }, func() error { return askFor(ctx, server, repository, b) })
			if err == nil {
				has(i)
			}
			return err
		})
	}
	return group.Wait()
}

// askFor asks the server for the last byte of a blob. It sends that when the digest of the
// whole blob is right, and fetches the blob as long as somebody waits.
func askFor(ctx context.Context, server *sources.Source, repository string, b ocispec.Descriptor) error {
	body, _, _, err := server.Open(ctx, repository, b, max(b.Size-1, 0), b.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("%s: blob %s: the server ended its answer before it had the whole blob: %w; its log says why", server.Name(), b.Digest, err)
	}
	return nil
}
