package demo

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDemo shows a pull of a second, in which a mirror stops, and a server that
// is used for as long.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, show := range map[string]func(*demo, context.Context) error{"pull": (*demo).showPull, "serve": (*demo).showServer} {
		t.Run(name, func(t *testing.T) {
			d := &demo{
				segpull: segpull, dir: t.TempDir(),
				image:   registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{2 * mib, mib}}),
				mirrors: []*mirror{{name: "north", rate: 4 * mib}, {name: "south", rate: 4 * mib, stopsAfter: 100 * time.Millisecond}},
			}
			if err := d.run(t.Context(), show); err != nil {
				t.Error(err)
			}
			if served := d.mirrors[0].reg.Stats().Bytes; served == 0 {
				t.Error("the mirror that lives served nothing")
			}
		})
	}
}

// TestTheClientChecksDigests lets a mirror in the place of the server send wrong bytes.
func TestTheClientChecksDigests(t *testing.T) {
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{64 << 10}})
	reg := registrytest.New()
	reg.Push("library/demo", "latest", img)
	c := newClient(reg.Start(t) + "/v2/library/demo")
	defer c.close()
	if fetched, err := c.pull(t.Context()); err != nil || len(fetched) != 2 {
		t.Fatalf("the client fetched %d blobs: %v", len(fetched), err)
	}
	reg.Misbehave(registrytest.Flip(100, 101).Of(img.Layers[0].Digest))
	if _, err := c.pull(t.Context()); err == nil {
		t.Error("the client accepts wrong bytes")
	}
}
