package demo

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDemo shows a pull of a second, in which a mirror stops.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	dir := t.TempDir()
	segpull, err := program.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{
		segpull: segpull, dir: dir,
		image:   registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{2 * mib, mib}}),
		mirrors: []*mirror{{name: "north", rate: 4 * mib}, {name: "south", rate: 4 * mib, stopsAfter: 100 * time.Millisecond}},
	}
	if err := d.run(t.Context()); err != nil {
		t.Error(err)
	}
	if served := d.mirrors[0].reg.Stats().Bytes; served == 0 {
		t.Error("the mirror that lives served nothing")
	}
}
