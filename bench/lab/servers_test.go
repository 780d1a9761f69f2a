package lab

import (
	"testing"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/needs"
)

// TestCDN lets segpull pull from a registry that redirects to nginx with TLS.
func TestCDN(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	needs.Programs(t, "docker-registry", "nginx")
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Segpull: segpull, Dir: t.TempDir()}
	c := Case{Name: "cdn", Layers: []int64{2 * mib, mib}, Server: cdn, Mirrors: []Mirror{{Name: "registry"}}}
	run, err := l.Run(t.Context(), c, tool(t, Segpull))
	if err != nil || run.Failed() {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestFloors(t *testing.T) {
	needs.Programs(t, "docker-registry")
	l := &Lab{Dir: t.TempDir()}
	c := Case{Name: "local", Layers: []int64{2 * mib, mib}, Server: dockerRegistry, Mirrors: []Mirror{{Name: "registry"}}}
	f, err := l.Floors(t.Context(), c)
	if err != nil || f.Hash <= 0 || f.Copy <= 0 || f.Bare <= 0 {
		t.Errorf("the floors are %+v, %v", f, err)
	}
}
