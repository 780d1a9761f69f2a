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
