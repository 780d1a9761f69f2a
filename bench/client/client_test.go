package client

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPull lets a registry send right bytes, and then wrong ones.
func TestPull(t *testing.T) {
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{64 << 10}})
	reg := registrytest.New()
	reg.Push("library/demo", "latest", img)
	c := New(reg.Start(t) + "/v2/library/demo")
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
