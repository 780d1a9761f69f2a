package fleet

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/segpull/segpull/bench/fleetsim"
)

const (
	kb, mb, gb, tb = 1e3, 1e6, 1e9, 1e12
	gbit           = 1e9 / 8 // a Gbit/s in bytes a second

	nodeLink = 1 * gbit
	// mirrorLine is what all mirrors send together.
	mirrorLine = 1 * gbit
	originDisk = 4 * tb

	// perDayImage is how many nodes pull an image of the day, and families how many bases
	// these images have.
	perDayImage = 100
	families    = 10
	// fastest and slowest are in how much time the nodes of an image pull it: some images
	// are rolled out, others are pulled when they are needed.
	fastest = 10 * time.Second
	slowest = 8 * time.Hour
)

var (
	// baseLayers and ownLayers are those of an image of the day: 1 GB.
	baseLayers = []int64{300 * mb, 100 * mb}
	ownLayers  = []int64{8 * kb, 300 * mb, 200 * mb, 80 * mb, 20 * mb}
	// largeLayers are those of the image that is rolled out: 5 GB.
	largeLayers = []int64{8 * kb, 1600 * mb, 1000 * mb, 800 * mb, 600 * mb, 400 * mb, 300 * mb, 150 * mb, 100 * mb, 30 * mb, 20 * mb}
	// hours are the shares of new images in each hour of a day; the busiest has 5 times the mean.
	hours = [24]float64{.2, .2, .2, .2, .2, .2, .4, .6, 1, 2.4, 5, 2.4, 1, 1.2, 2.4, 2.4, 1.2, 1, .6, .4, .2, .2, .2, .2}
)

// layout is how nodes and origins are connected.
type layout struct {
	name   string
	change func(*fleetsim.Fleet)
}

var (
	oneServer = layout{"1 server with 10 Gbit/s", func(f *fleetsim.Fleet) { f.Origins, f.OriginRate = 1, 10*gbit }}
	four      = layout{"4 servers with 25 Gbit/s, nginx on each node", func(f *fleetsim.Fleet) { f.Origins, f.OriginRate = 4, 25*gbit }}
	behindOne = layout{"the same behind one nginx with 25 Gbit/s", func(f *fleetsim.Fleet) { four.change(f); f.FrontRate = 25 * gbit }}
	withPeers = layout{"4 servers, and nodes that send to each other", func(f *fleetsim.Fleet) { four.change(f); f.Peers = true }}
)

// Simulate simulates a roll-out and a day of a fleet of so many nodes that pull so many
// bytes a day, and writes tables. It takes some seconds for 100 TB. Nothing is measured.
func Simulate(ctx context.Context, w io.Writer, nodes int, bytesPerDay float64) error {
	fmt.Fprintf(w, "Simulated only: %d nodes with links of %.0f Gbit/s. The documentation of bench/fleetsim says what is modelled.\n", nodes, nodeLink/gbit)
	if err := simulateRollOut(ctx, w, nodes); err != nil {
		return err
	}
	return simulateDay(ctx, w, nodes, bytesPerDay)
}

// simulateRollOut lets all nodes pull an image that the servers have.
func simulateRollOut(ctx context.Context, w io.Writer, nodes int) error {
	f := newFleet(nodes)
	f.Mirrors, f.MirrorDelay = 0, 0
	f.Piece = 4 * mib
	f.addImage(nil, largeLayers)
	for i := range nodes {
		f.Pulls = append(f.Pulls, fleetsim.Pull{At: fastest * time.Duration(i) / time.Duration(nodes), Node: i})
	}
	fmt.Fprintf(w, "\nSimulated: an image of %.0f GB, which the servers have, goes to all nodes, which begin within %s.\n\n", float64(sum(largeLayers))/gb, fastest)
	fmt.Fprint(w, "| | until the last node has it | divided by the bound | busiest server's share | from servers | between nodes |\n|---|---|---|---|---|---|\n")
	for _, l := range []layout{oneServer, four, behindOne, withPeers} {
		f := f.Fleet
		l.change(&f)
		r, err := f.Run(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %.2f TB | %.2f TB |\n", l.name, r.Last().Round(time.Second),
			r.Last().Seconds()/f.Bound().Seconds(), float64(slices.Max(r.Origins))/float64(r.Served), float64(r.Served)/tb, float64(r.Shared)/tb)
	}
	return nil
}

// simulateDay lets nodes pull the images of a day.
func simulateDay(ctx context.Context, w io.Writer, nodes int, bytesPerDay float64) error {
	f := newFleet(nodes)
	f.addDay(bytesPerDay)
	layouts := []layout{four, behindOne, withPeers}
	var results []fleetsim.Result
	for _, l := range layouts {
		f := f.Fleet
		l.change(&f)
		r, err := f.Run(ctx)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	fmt.Fprintf(w, "\nSimulated: a day in which nodes pull %.1f TB, as %d pulls of %d images of %.1f GB, of which %.1f GB are one of %d bases.\n",
		float64(results[0].Served)/tb, len(f.Pulls), len(f.Images), float64(sum(baseLayers)+sum(ownLayers))/gb, float64(sum(baseLayers))/gb, families)
	fmt.Fprintf(w, "Nodes keep what they pulled. Empty servers of %.0f TB, mirrors with %.0f Gbit/s together.\n\n", originDisk/tb, mirrorLine/gbit)
	dayTable{w, f.Fleet, results}.write(layouts)
	return nil
}

// builder makes a fleet.
type builder struct {
	fleetsim.Fleet
	random *rand.Rand
}

func newFleet(nodes int) builder {
	b := builder{fleetsim.Fleet{
		Origins: 1, OriginDisk: originDisk, Mirrors: mirrorLine, MirrorDelay: 100 * time.Millisecond,
		TagTTL: time.Minute, RoundTrip: time.Millisecond, AtOnce: atOnce, VerifiedOnly: true, Piece: 16 * mib,
	}, rand.New(rand.NewPCG(1, 2))}
	for range nodes {
		b.Links = append(b.Links, nodeLink)
	}
	return b
}

// addBlobs adds blobs of these sizes, and returns their numbers.
func (b *builder) addBlobs(sizes []int64) (numbers []int) {
	for _, size := range sizes {
		numbers = append(numbers, len(b.Blobs))
		b.Blobs = append(b.Blobs, size)
	}
	return numbers
}

// addImage adds an image of a base and layers of its own.
func (b *builder) addImage(base []int, own []int64) {
	b.Images = append(b.Images, append(slices.Clone(base), b.addBlobs(own)...))
}

// addDay adds images, and the pulls of each by some of the nodes, until nodes pull so many
// bytes.
func (b *builder) addDay(bytes float64) {
	var bases [][]int
	for range families {
		bases = append(bases, b.addBlobs(baseLayers))
	}
	each := min(perDayImage, len(b.Links))
	has := make(map[[2]int]bool) // a node and a family
	for number := 0; bytes > 0; number++ {
		family := number % families
		b.addImage(bases[family], ownLayers)
		released := b.releaseTime()
		within := float64(fastest) * math.Pow(float64(slowest)/float64(fastest), b.random.Float64())
		for _, node := range b.random.Perm(len(b.Links))[:each] {
			at := released + time.Duration(within*b.random.Float64())
			b.Pulls = append(b.Pulls, fleetsim.Pull{At: at, Node: node, Image: number})
			bytes -= float64(sum(ownLayers))
			if !has[[2]int{node, family}] {
				bytes -= float64(sum(baseLayers))
				has[[2]int{node, family}] = true
			}
		}
	}
	slices.SortStableFunc(b.Pulls, func(x, y fleetsim.Pull) int { return cmp.Compare(x.At, y.At) })
}

// releaseTime is a time of the day, more often in busy hours.
func (b *builder) releaseTime() time.Duration {
	var all float64
	for _, share := range hours {
		all += share
	}
	at := b.random.Float64() * all
	for hour, share := range hours {
		if at < share {
			return time.Duration((float64(hour) + at/share) * float64(time.Hour))
		}
		at -= share
	}
	return 24 * time.Hour
}

// dayTable writes what layouts make of the same day.
type dayTable struct {
	w       io.Writer
	fleet   fleetsim.Fleet
	results []fleetsim.Result
}

func (t dayTable) write(layouts []layout) {
	fmt.Fprint(t.w, "| | goal |")
	for _, l := range layouts {
		fmt.Fprintf(t.w, " %s |", l.name)
	}
	fmt.Fprint(t.w, "\n|---|---|---|---|---|\n")
	t.row("bytes from the mirrors / bytes that nodes got", goal, func(r fleetsim.Result) string { return fmt.Sprintf("%.4f", perByte(r)) })
	t.row("from servers, between nodes", "-", func(r fleetsim.Result) string {
		return fmt.Sprintf("%.1f TB, %.1f TB", float64(r.Served)/tb, float64(r.Shared)/tb)
	})
	t.row("first byte of a blob that was not cached yet, p50, p99", "-", func(r fleetsim.Result) string { return percentiles(r.Cold) })
	t.row("first byte of another blob, p50, p99", "-", func(r fleetsim.Result) string { return percentiles(r.Warm) })
	t.row("until the last node had an image, divided by the bound, p50, p99", "-", func(r fleetsim.Result) string {
		shares := t.lastNodes(r)
		return fmt.Sprintf("%.2f, %.2f", shares[len(shares)/2], shares[len(shares)*99/100])
	})
	t.row("bytes of a server, the least and the greatest", "-", func(r fleetsim.Result) string {
		return fmt.Sprintf("%.1f TB, %.1f TB", float64(slices.Min(r.Origins))/tb, float64(slices.Max(r.Origins))/tb)
	})
	t.row("the busiest minute of a server", "-", func(r fleetsim.Result) string { return fmt.Sprintf("%.1f Gbit/s", r.Busiest/gbit) })
	t.row("bytes from the mirrors; their busiest minute", "-", func(r fleetsim.Result) string {
		return fmt.Sprintf("%.2f TB; %.2f Gbit/s", float64(r.Mirrored)/tb, r.Line/gbit)
	})
	t.row("requests for tags at the servers, at the mirrors", "-", func(r fleetsim.Result) string { return fmt.Sprintf("%d, %d", r.Asked, r.Resolved) })
}

func (t dayTable) row(name, goal string, value func(fleetsim.Result) string) {
	fmt.Fprintf(t.w, "| %s | %s |", name, goal)
	for _, r := range t.results {
		fmt.Fprintf(t.w, " %s |", value(r))
	}
	fmt.Fprintln(t.w)
}

// percentiles are the p50 and p99 of times.
func percentiles(times []time.Duration) string {
	rounded := func(p float64) time.Duration {
		d := time.Duration(milliseconds(times, p) * float64(time.Millisecond)).Round(time.Millisecond)
		if d > 10*time.Second {
			d = d.Round(time.Second)
		}
		return d
	}
	return fmt.Sprintf("%s, %s", rounded(50), rounded(99))
}

// lastNodes are, for each image, the time from its first pull until its last node had it,
// divided by the least that the nodes' links allow; in order.
func (t dayTable) lastNodes(r fleetsim.Result) (shares []float64) {
	first, last, bound := make(map[int]time.Duration), make(map[int]time.Duration), make(map[int]time.Duration)
	for i, p := range t.fleet.Pulls {
		if _, known := first[p.Image]; !known {
			first[p.Image] = p.At
		}
		last[p.Image] = max(last[p.Image], r.Done[i].At)
		link := time.Duration(float64(r.Done[i].Bytes) / t.fleet.Links[p.Node] * float64(time.Second))
		bound[p.Image] = max(bound[p.Image], p.At+link)
	}
	for image, at := range first {
		shares = append(shares, float64(last[image]-at)/float64(bound[image]-at))
	}
	slices.Sort(shares)
	return shares
}
