package client

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPull lets a registry send right bytes, and then wrong ones.
func TestPull(t *testing.T) {
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{64 << 10}})
	reg := registrytest.New()
	reg.Push("library/demo", "latest", registrytest.NewIndex(img))
	c := New(reg.Start(t)+"/v2/library/demo", Options{})
	t.Cleanup(c.Close)
	got, err := c.Pull(t.Context(), "latest")
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d blobs: %v", len(got), err)
	}
	if layer := got[1]; layer.Digest != img.Layers[0].Digest || layer.Size != img.Layers[0].Size || layer.First <= 0 || layer.Whole < layer.First {
		t.Errorf("the layer is %+v", layer)
	}
	reg.Misbehave(registrytest.Flip(100, 101).Of(img.Layers[0].Digest))
	if _, err := c.Pull(t.Context(), "latest"); err == nil {
		t.Error("wrong bytes of a layer are accepted")
	}
	reg.Misbehave(registrytest.Status(503))
	if _, err := c.Pull(t.Context(), "latest"); err == nil {
		t.Error("status 503 is accepted")
	}
}

// TestAtOnce bounds the requests at once, and checks what the requests are.
func TestAtOnce(t *testing.T) {
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: slices.Repeat([]int64{64 << 10}, 8)})
	reg := registrytest.New()
	reg.Push("library/demo", "latest", img)
	reg.Misbehave(registrytest.Latency(5 * time.Millisecond))
	dials := 0
	c := New(reg.Start(t)+"/v2/library/demo", Options{AtOnce: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}})
	t.Cleanup(c.Close)
	if _, err := c.Pull(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	if stats := reg.Stats(); stats.Concurrent != 1 || dials != 1 {
		t.Errorf("%d requests at once over %d connections, want 1", stats.Concurrent, dials)
	} else if first, second := stats.Log[0], stats.Log[1]; first.Method != "HEAD" || first.Reference != "latest" || second.Reference != img.Manifest.Digest.String() {
		t.Errorf("the requests begin with %s %s and %s %s", first.Method, first.Path, second.Method, second.Path)
	}
	got, err := c.Blobs(t.Context(), []digest.Digest{img.Layers[1].Digest, img.Config.Digest})
	if err != nil || len(got) != 2 || got[0].Digest != img.Layers[1].Digest || got[1].Digest != img.Config.Digest || got[1].First < got[1].Asked {
		t.Errorf("%+v, %v", got, err)
	}
}
