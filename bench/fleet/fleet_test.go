package fleet

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/needs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a hundredth of tenth: nodes with the slowest link take a second.
var small = shape{
	base:    []int64{64 << 10, 16 << 10},
	own:     []int64{96 << 10, 32 << 10, 16 << 10},
	links:   tenth.links,
	mirrors: tenth.mirrors,
	starts:  100 * time.Millisecond,
}

func TestPlan(t *testing.T) {
	p := newPlan(Options{Nodes: 10, PerImage: 4}, small)
	if len(p.images) != 3 || len(p.Links) != 10 || len(p.Blobs) != 2+3*4 {
		t.Fatalf("%d images of %d blobs for %d nodes, want 3 images with 2 layers in common", len(p.images), len(p.Blobs), len(p.Links))
	}
	pullers := map[int]int{}
	classes := map[float64]int{}
	for i, pull := range p.Pulls {
		pullers[pull.Image]++
		classes[p.Links[i]]++
	}
	if pullers[0] != 4 || pullers[1] != 3 || len(classes) != 3 {
		t.Errorf("the images have %v nodes, the links %v", pullers, classes)
	}
	var blobs int64
	for i, img := range p.images {
		for k, b := range blobsOf(img) {
			if size := p.Blobs[p.Images[i][k]]; size != b.Size {
				t.Errorf("blob %d of image %d has %d bytes, and the simulation %d", k, i, b.Size, size)
			}
			blobs += b.Size * int64(pullers[i])
		}
	}
	if p.served() != blobs || p.need() >= blobs {
		t.Errorf("nodes pull %d bytes, want %d", p.served(), blobs)
	}
}

// Two connections of a link share its rate, and Close ends a read that waits.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(mib)
		began := time.Now()
		readers := make(chan error, 2)
		for range 2 {
			near, far := net.Pipe()
			conn := l.over(near)
			go func() {
				_, _ = far.Write(make([]byte, mib))
				far.Close()
			}()
			go func() {
				_, err := io.Copy(io.Discard, conn)
				readers <- err
				conn.Close()
			}()
		}
		for range 2 {
			if err := <-readers; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took < 2*time.Second-2*credit || took > 2*time.Second {
			t.Errorf("2 MiB over 1 MiB/s took %v", took)
		}

		near, far := net.Pipe()
		conn := newLink(1).over(near)
		go func() { _, _ = far.Write(make([]byte, mib)) }()
		time.AfterFunc(time.Minute, func() { conn.Close(); far.Close() })
		began = time.Now()
		if _, err := io.Copy(io.Discard, conn); err == nil || time.Since(began) != time.Minute {
			t.Errorf("a closed connection ended after %v: %v", time.Since(began), err)
		}
	})
}

func TestFirstBytes(t *testing.T) {
	began := time.Now()
	blob := func(hex string, asked, first time.Duration) client.Blob {
		return client.Blob{Digest: digest.Digest(hex), Asked: asked, First: first}
	}
	cold, warm := firstBytes(
		[]pulled{{began: began, blobs: []client.Blob{blob("a", 1, 5), blob("b", 3, 6)}}, {began: began.Add(2), blobs: []client.Blob{blob("a", 1, 3)}}},
		map[digest.Digest]time.Time{"a": began.Add(2), "b": began.Add(3)},
	)
	if len(cold) != 1 || cold[0] != 4 || len(warm) != 2 || warm[0] != 3 || warm[1] != 2 {
		t.Errorf("cold %v, warm %v", cold, warm)
	}
}

// A small fleet pulls for real. The simulation of the same agrees as far as no clock
// decides: a slow machine makes the nodes later, and never earlier than the bound.
func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("builds segpull")
	}
	needs.Programs(t, "nginx")
	segpull, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../../deploy/nginx/segpull.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, verifiedOnly := range []bool{true, false} {
		t.Run(fmt.Sprintf("verified only: %t", verifiedOnly), func(t *testing.T) {
			t.Parallel()
			o := Options{
				Segpull: segpull, Nginx: string(config), Dir: t.TempDir(), Nodes: 12, PerImage: 6, Origins: []int{1, 3}, Runs: 1,
				VerifiedOnly: verifiedOnly, Log: io.Discard,
			}
			p := newPlan(o, small)
			var out strings.Builder
			if err := o.measure(t.Context(), &out, p); err != nil {
				t.Fatal(err)
			}
			checkTables(t, out.String(), p)
			if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
				t.Errorf("%d files are left: %v", len(left), err)
			}
		})
	}
}

// checkTables checks the figures of each table.
func checkTables(t *testing.T, out string, p plan) {
	t.Helper()
	tables := strings.Split(out, " behind nginx | goal | measured | simulated |")
	if len(tables) != 3 || !strings.HasSuffix(tables[0], "| 1 server") || !strings.HasSuffix(tables[1], "| 3 servers") {
		t.Fatalf("%d tables:\n%s", len(tables)-1, out)
	}
	for _, table := range tables[1:] {
		measured, simulated := rowOf(t, table, "bytes from the mirrors / size of all different blobs")
		if measured < 0.999 || measured > 2 || simulated != 1 { // small blobs are raced
			t.Errorf("the mirrors sent %.3f times the need, %.3f in the simulation", measured, simulated)
		}
		measured, simulated = rowOf(t, table, "bytes from the mirrors / bytes that nodes got")
		if least := float64(p.need()) / float64(p.served()); math.Abs(simulated-least) > 0.001 || measured < least-0.001 {
			t.Errorf("for a byte that nodes got, mirrors sent %.4f, and %.4f in the simulation; want %.4f", measured, simulated, least)
		}
		measured, simulated = rowOf(t, table, "the same, divided by the bound of")
		if measured < 0.99 || simulated < 1 || simulated > 1.3 {
			t.Errorf("the last node had its image after %.2f of the bound, %.2f in the simulation", measured, simulated)
		}
		if share, _ := rowOf(t, table, "the busiest server's share"); share <= 0 || share > 1 {
			t.Errorf("the busiest server's share is %.2f", share)
		}
		if memory, _ := rowOf(t, table, "memory of a server"); memory < 5 || memory > 200 {
			t.Errorf("a server has %.0f MiB", memory)
		}
		if rate, _ := rowOf(t, table, "all nodes again"); rate <= 0 {
			t.Errorf("all nodes get %.0f MiB/s", rate)
		}
	}
}

var number = regexp.MustCompile(`[0-9.]+`)

// rowOf finds the figures of a row; 0: not modelled.
func rowOf(t *testing.T, table, name string) (measured, simulated float64) {
	t.Helper()
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(cells[1], " "+name) {
			measured, _ = strconv.ParseFloat(number.FindString(cells[3]), 64)
			simulated, _ = strconv.ParseFloat(number.FindString(cells[4]), 64)
			return measured, simulated
		}
	}
	t.Fatalf("no row %q in\n%s", name, table)
	return 0, 0
}

// A pull that cannot reach its server ends the others, and says which node it is.
func TestAServerThatIsGone(t *testing.T) {
	address, err := program.FreeAddress(program.Loopback{})
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan(Options{Nodes: 3, PerImage: 3}, small)
	p.Pulls[2].At = time.Hour
	if _, _, err := p.pullAll(t.Context(), "http://"+address, true, byTag); err == nil || !strings.HasPrefix(err.Error(), "node ") {
		t.Errorf("without a server: %v", err)
	}
}

func TestADay(t *testing.T) {
	const nodes, bytes = 200, 2 * tb
	f := newFleet(nodes)
	f.addDay(bytes)
	r, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(r.Served); got < 0.95*bytes || got > 1.05*bytes {
		t.Errorf("nodes pull %.2f TB, want 2", got/tb)
	}
	perImage, perHour := map[int]int{}, map[time.Duration]int{}
	for _, p := range f.Pulls {
		perImage[p.Image]++
		perHour[p.At/time.Hour]++
	}
	for image, n := range perImage {
		if n != perDayImage {
			t.Errorf("%d nodes pull image %d", n, image)
		}
	}
	if perHour[10]+perHour[11] < 3*(perHour[2]+perHour[3]) {
		t.Errorf("the busy hours are not busy: %v", perHour)
	}
}

func TestSimulate(t *testing.T) {
	var out strings.Builder
	if err := Simulate(t.Context(), &out, 20, 0.2*tb); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Simulated only: 20 nodes", "| 1 server with 10 Gbit/s | ", "Simulated: a day in which nodes pull 0.2 TB", "| bytes from the mirrors / bytes that nodes got | ≤ 0.02 | 0.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if strings.Contains(strings.ToLower(out.String()), "measured") {
		t.Errorf("nothing of this is measured:\n%s", &out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Simulate(ctx, &out, 20, tb); err != context.Canceled {
		t.Errorf("after an interruption: %v", err)
	}
}
