package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// A transfer of one layer from two mirrors. A reader gets it while it arrives.
func ExampleTransfer_Run() {
	ctx := context.Background()
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}})
	layer := img.Layers[0]
	registry := registrytest.New()
	registry.Push("team/app", "1", img)
	one, two := httptest.NewServer(registry), httptest.NewServer(registry.Mirror())
	defer one.Close()
	defer two.Close()
	dir, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	set, _, err := sources.New(sources.Config{}, sources.NewLogins(filepath.Join(dir, "none"), nil), []string{one.URL, two.URL}, sources.Images{Registry: "registry.example"})
	if err != nil {
		panic(err)
	}
	defer set.Close()
	var names []string
	for _, src := range set.Sources() {
		names = append(names, src.Name())
	}
	store, err := state.Open(ctx, filepath.Join(dir, "layer"), []state.Placement{{Digest: string(layer.Digest), Size: layer.Size}}, names)
	if err != nil {
		panic(err)
	}
	defer store.Close()

	t := transfer.New(transfer.Options{
		Repository:  "team/app",
		Blobs:       []ocispec.Descriptor{layer.Descriptor},
		Sources:     set.Sources(),
		Store:       store,
		Limiter:     segment.NewLimiter(0),
		GiveUpAfter: time.Minute,
		Corrupt:     new(verify.Corrupt),
		Report: transfer.Report{
			Search: verify.Report{
				Corrupt: func(f verify.Finding) { fmt.Println("corrupt:", f.Source, f.Proof) },
				Suspect: func(source, message string) { fmt.Println(source, message) },
				Warn:    func(message string) { fmt.Println(message) },
			},
			Trouble: func(source string, err error) { fmt.Println(source, err) },
		},
	})
	ended := make(chan error)
	go func() { ended <- t.Run(ctx) }()
	var got bytes.Buffer
	fmt.Println(t.Send(ctx, &got, 0, segment.Range{End: layer.Size}), bytes.Equal(got.Bytes(), layer.Bytes()))
	fmt.Println(<-ended, t.Wait(ctx, 0), t.Hashed(0))
	// Output:
	// <nil> true
	// <nil> <nil> 1048576
}
