package serve

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	if err := Check(Names()...); err != nil {
		t.Error(err)
	}
	if err := Check("cached", "nothing"); err == nil || !strings.Contains(err.Error(), "there are transfer, cached") {
		t.Errorf("an unknown goal: %v", err)
	}
}

func TestTransferTime(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	request := func(kind registrytest.Kind, from, to int) registrytest.Request {
		return registrytest.Request{Kind: kind, Arrived: at(from), Done: at(to)}
	}
	run := lab.Run{Mirrors: []lab.MirrorStats{
		{Log: []registrytest.Request{request(registrytest.KindManifest, 1, 2), request(registrytest.KindBlob, 5, 6)}},
		{Log: []registrytest.Request{request(registrytest.KindBlob, 4, 9), {Kind: registrytest.KindBlob, Arrived: at(8)}}},
	}}
	if got := transferTime(run); got != 5*time.Second {
		t.Errorf("the transfer took %v, want 5 s", got)
	}
}

func TestTimesOf(t *testing.T) {
	runs := []lab.Run{{Tool: "a", Wall: 2, Bound: 1, Served: 3, Needed: 2}, {Tool: "b", Error: "reset"}}
	if got, err := timesOf(runs, "a"); err != nil || len(got.whole) != 1 || got.whole[0] != 2 || got.served[0] != 1.5 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := timesOf(runs, "b"); err == nil || err.Error() != "b: reset" {
		t.Errorf("a run that failed: %v", err)
	}
}

// TestManyBlobs compares small caches, which have all blobs that were fetched.
func TestManyBlobs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	m := &meter{lab: &lab.Lab{Segpull: segpull, Dir: t.TempDir()}, runs: 1, w: &out}
	if err := m.compare(t.Context(), 2, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"takes connections: 20 blobs in the cache | < 1000 ms | ", " ms; with 10: ", "| ≤ 1.25 | "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if left, err := os.ReadDir(m.lab.Dir); err != nil || len(left) > 0 {
		t.Errorf("%d directories are left: %v", len(left), err)
	}
}

// TestMeasure measures a server without its peers, and names those that are missing.
func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	var out strings.Builder
	if err := Measure(t.Context(), &out, &lab.Lab{Segpull: segpull, Dir: t.TempDir()}, 1, "first-byte", "clients", "transfer", "cached"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"200 clients, from segpull serve | p99 < 100 ms | p99 ", "| nginx | - | missing: not installed |", "| docker-registry | - | missing", "| crane | - | missing",
		"| docker | - | missing", "| curl | - | missing", "three mirrors: upstream bytes divided by the need | ≤ 1.03 | 1.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "| nginx |"); n != 1 {
		t.Errorf("nginx has %d rows, want one", n)
	}
}
