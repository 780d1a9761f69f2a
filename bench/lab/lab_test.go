package lab

import (
	"os/exec"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// quick is a case of half a second on loopback.
var quick = Case{
	Name: "quick", About: "for the tests", Layers: []int64{256 * kib, 128 * kib},
	Mirrors: []Mirror{
		{Name: "useless", Rate: 8 * mib, Useless: true, Faults: fault(registrytest.Status(503))},
		{Name: "good", Rate: mib, RTT: ms(10)},
	},
}

// TestRun lets curl fetch all blobs from the best mirror.
func TestRun(t *testing.T) {
	needs.Programs(t, "curl")
	l := &Lab{Dir: t.TempDir()}
	run, err := l.Run(t.Context(), quick, tool(t, "curl"))
	if err != nil {
		t.Fatal(err)
	}
	if run.Failed() {
		t.Fatal(run.Error)
	}
	if run.Served != run.Needed || run.Mirrors[0].Served != 0 || run.Waste() != 0 {
		t.Errorf("served %d of %d bytes, by mirrors %+v; want all from the good one", run.Served, run.Needed, run.Mirrors)
	}
	if run.Efficiency < 0.3 || run.Efficiency > 1.05 {
		t.Errorf("efficiency is %.2f of a bound of %.2f s", run.Efficiency, run.Bound)
	}
	last := run.Samples[len(run.Samples)-1]
	if last.User != run.Served || len(run.Samples) < 3 {
		t.Errorf("%d samples that end at %d bytes, want several up to %d", len(run.Samples), last.User, run.Served)
	}
}

// TestRunCountsTheWire lets curl fetch all blobs over a simulated link.
func TestRunCountsTheWire(t *testing.T) {
	needs.Programs(t, "curl")
	c := Case{
		Name: "wire", TCP: true, Layers: quick.Layers,
		Mirrors: []Mirror{{Name: "lossy", Rate: 2 * mib, RTT: ms(10), Loss: 0.01}},
	}
	l := &Lab{Dir: t.TempDir()}
	run, err := l.Run(t.Context(), c, tool(t, "curl"))
	if err != nil {
		needs.Lack(t, err.Error()) // no root
	}
	headers := run.Wire - run.Needed
	if run.Failed() || run.Served != run.Needed || headers < 300 || headers > 4*kib {
		t.Errorf("served %d and forwarded %d of %d bytes, want HTTP's headers beyond the need; %s", run.Served, run.Wire, run.Needed, run.Error)
	}
	if run.Waste() != float64(headers)/float64(run.Needed) {
		t.Errorf("the waste is %f, want what was on the wire", run.Waste())
	}
}

// TestAToolThatFails checks that this is not an error of the lab.
func TestAToolThatFails(t *testing.T) {
	l := &Lab{Dir: t.TempDir()}
	broken := Tool{Name: "broken", program: "sh", command: func(j job) (*exec.Cmd, error) {
		return exec.Command(j.program, "-c", "echo no route >&2; exit 3"), nil
	}}
	run, err := l.Run(t.Context(), quick, broken)
	if err != nil {
		t.Fatal(err)
	}
	if run.Error != "no route" || run.Exit != 3 || run.Efficiency != 0 {
		t.Errorf("run is %+v, want its failure", run)
	}
}

// setUpCase serves a case until the test ends.
func setUpCase(t *testing.T, c Case) (*site, *image) {
	t.Helper()
	l := &Lab{Dir: t.TempDir()}
	i, err := l.image(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := setUp(c, i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, i
}

func TestMirrorThatHangs(t *testing.T) {
	c := Case{Layers: []int64{mib}, Mirrors: []Mirror{{Name: "hangs", Rate: 256 * kib, HangsAfter: 300 * time.Millisecond}}}
	s, i := setUpCase(t, c)
	s.begin()
	curl := exec.Command("curl", "--silent", "--max-time", "1", "--output", "/dev/null", s.mirrors[0].blobURL(i.Layers[0]))
	if err := curl.Run(); err == nil {
		t.Error("the mirror answered to the end")
	}
	if served := s.mirrors[0].reg.Stats().Bytes; served < 32*kib || served > 160*kib {
		t.Errorf("served %d bytes in 0.3 s at 256 KiB/s", served)
	}
}

func tool(t *testing.T, name string) Tool {
	t.Helper()
	chosen, err := Tools(name)
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}
