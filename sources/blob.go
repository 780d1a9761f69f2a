package sources

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

const (
	// blobTimeout is how long Blob waits for sources that are silent or slow, since the last one was
	// asked: as long as for a manifest.
	blobTimeout = 30 * time.Second
	// blobTries is how often Blob asks a source whose answer breaks off.
	blobTries = 3
)

// Blob returns the bytes of a blob of at most image.MaxConfigSize, which have its digest and size. It asks
// the sources as Fetch does for a digest. If none serves the blob within 30 s after Blob asked the last one,
// or within GiveUpAfter if that is less, the error is a *[FetchError].
func (s *Set) Blob(ctx context.Context, ref image.Reference, b ocispec.Descriptor) ([]byte, error) {
	if b.Size > image.MaxConfigSize {
		return nil, fmt.Errorf("blob %s has %d bytes; segpull reads at most %d at once", b.Digest, b.Size, image.MaxConfigSize)
	}
	r := s.race(ref, s.resolverFirst(ref), 0, func(ctx context.Context, source *Source) answer {
		return source.whole(ctx, ref.Repository, b)
	})
	if r.giveUpAfter == 0 || r.giveUpAfter > blobTimeout {
		r.giveUpAfter = blobTimeout
	}
	a, err := r.run(ctx)
	return a.body, s.blame(ref, err)
}

// Size returns the size in bytes that a source gives for ref's digest, which names a blob:
// the source may be wrong. It asks as Fetch does for a digest, and the errors are the same.
func (s *Set) Size(ctx context.Context, ref image.Reference) (int64, error) {
	a, err := s.race(ref, s.sources, 0, func(ctx context.Context, source *Source) answer {
		size, err := source.client.Size(ctx, source.repository(ref.Repository), ref.Digest)
		if err != nil {
			err = source.explain(err)
		}
		return answer{source: source, descriptor: ocispec.Descriptor{Size: size}, err: err}
	}).run(ctx)
	return a.descriptor.Size, err
}

// whole reads a blob from its start to its end, again where it breaks off.
func (s *Source) whole(ctx context.Context, repository string, b ocispec.Descriptor) (a answer) {
	for range blobTries {
		a = s.wholeOnce(ctx, repository, b)
		if a.err == nil || definite(a.err) || ctx.Err() != nil {
			break
		}
	}
	return a
}

func (s *Source) wholeOnce(ctx context.Context, repository string, b ocispec.Descriptor) answer {
	stream, _, _, err := s.Open(ctx, repository, b, 0, b.Size)
	if err != nil {
		return answer{source: s, err: err}
	}
	defer stream.Close()
	body, err := io.ReadAll(stream) // the stream has b.Size bytes
	got := ocispec.Descriptor{Digest: digest.FromBytes(body), Size: int64(len(body))}
	switch {
	case err != nil:
		err = fmt.Errorf("%s: blob %s: %w", s.Name(), b.Digest, err)
	case got.Digest != b.Digest:
		err = &mismatchError{s.Name(), b, got}
	}
	return answer{s, got, body, err}
}
