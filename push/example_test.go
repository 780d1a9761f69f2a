package push_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/push"
)

// memory is a registry in memory. It prints what it gets.
type memory map[digest.Digest]bool

func (m memory) Has(_ context.Context, _ string, d digest.Digest) (bool, error) { return m[d], nil }

func (m memory) Mount(context.Context, string, string, digest.Digest) (bool, error) {
	return false, nil
}

func (m memory) Upload(_ context.Context, repository, _ string, b ocispec.Descriptor, open func() io.Reader) (bool, error) {
	body, err := io.ReadAll(open())
	fmt.Printf("%s: %s\n", repository, body)
	m[b.Digest] = true
	return false, err
}

func (m memory) PutManifest(_ context.Context, repository, reference, _ string, body []byte) error {
	fmt.Printf("%s:%s: %s\n", repository, reference, body)
	return nil
}

// An image goes blob by blob, and its manifest last.
func ExampleNew() {
	p := push.New(push.Options{Registry: memory{}, Repository: "team/app", GiveUpAfter: time.Minute})
	ctx, layer, manifest := context.Background(), "the bytes of a layer", `{"layers":[…]}`
	blob := ocispec.Descriptor{Digest: digest.FromString(layer), Size: int64(len(layer))}
	for range 2 { // the second time, it is there
		if err := p.Blob(ctx, blob, func() io.Reader { return strings.NewReader(layer) }); err != nil {
			panic(err)
		}
	}
	root := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(manifest)}
	if err := p.Manifest(ctx, root, "1", []byte(manifest)); err != nil {
		panic(err)
	}
	// Output:
	// team/app: the bytes of a layer
	// team/app:1: {"layers":[…]}
}
