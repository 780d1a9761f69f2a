package lab

import (
	"strings"
	"testing"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/needs"
)

// TestThrough lets crane pull from a server before two mirrors.
func TestThrough(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	needs.Programs(t, "crane")
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Segpull: segpull, Dir: t.TempDir()}
	c := Case{Name: "through", Layers: []int64{2 * mib, mib}, Mirrors: []Mirror{{Name: "a", Rate: 4 * mib}, {Name: "b", Rate: 2 * mib}}}
	run, err := l.Run(t.Context(), c, Through(tool(t, "crane")))
	if err != nil || run.Failed() {
		t.Fatalf("%+v, %v", run, err)
	}
	if !strings.HasPrefix(run.Tool, "crane-") || run.Mirrors[0].Served == 0 || run.Mirrors[1].Served == 0 {
		t.Errorf("%s got %d bytes from the first mirror and %d from the second", run.Tool, run.Mirrors[0].Served, run.Mirrors[1].Served)
	}
	if share, _ := run.ServedBeyond(); share > 0.2 {
		t.Errorf("the mirrors served %.0f %% beyond the need", 100*share)
	}
}
