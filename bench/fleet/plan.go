package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/bench/fleetsim"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	mib = 1 << 20
	gib = 1 << 30

	// mbit is a Mbit/s in bytes a second.
	mbit = 1e6 / 8

	tag = "1"
	// atOnce is containerd's max_concurrent_downloads.
	atOnce = 3
	// mirrorDelay is how long a mirror takes to answer.
	mirrorDelay = 20 * time.Millisecond
)

// shape is how large everything of a plan is.
type shape struct {
	base    []int64       // the layers that all images share, in bytes
	own     []int64       // the others of each image
	links   []float64     // of nodes, in turns, in bytes a second
	mirrors []int64       // bytes a second of each
	starts  time.Duration // in which all nodes begin
}

// tenth is what Measure uses: a tenth of 20, 50 and 100 Mbit/s, and of images of 80 MiB.
var tenth = shape{
	base:    []int64{3 * mib, mib},
	own:     []int64{2 * mib, mib, 3 * mib / 4, mib / 4},
	links:   []float64{2 * mbit, 5 * mbit, 10 * mbit},
	mirrors: []int64{2 * mib, 3 * mib, 5 * mib},
	starts:  5 * time.Second,
}

// plan is what the nodes pull, for real and in the simulation.
type plan struct {
	fleetsim.Fleet
	shape  shape
	images []registrytest.Image
}

// newPlan makes images for the nodes, and says which node pulls which.
func newPlan(o Options, size shape) plan {
	p := plan{shape: size, Fleet: fleetsim.Fleet{
		MirrorDelay: mirrorDelay, TagTTL: time.Minute, RoundTrip: time.Millisecond,
		AtOnce: atOnce, VerifiedOnly: o.VerifiedOnly, Piece: 4 << 10,
	}}
	for _, rate := range size.mirrors {
		p.Mirrors += float64(rate)
	}
	p.makeImages((o.Nodes + o.PerImage - 1) / o.PerImage)
	for i := range o.Nodes {
		p.Links = append(p.Links, size.links[i/len(p.images)%len(size.links)])
		p.Pulls = append(p.Pulls, fleetsim.Pull{At: size.starts * time.Duration(i) / time.Duration(o.Nodes), Node: i, Image: i % len(p.images)})
	}
	return p
}

// makeImages makes images that share their first layers.
func (p *plan) makeImages(number int) {
	shared := registrytest.NewImage(registrytest.ImageOptions{Layers: p.shape.base}).Layers
	numbers := make(map[digest.Digest]int)
	for i := range number {
		img := withBase(shared, registrytest.ImageOptions{Layers: p.shape.own, Seed: uint64(i + 1)})
		p.images = append(p.images, img)
		var blobs []int
		for _, b := range blobsOf(img) {
			n, known := numbers[b.Digest]
			if !known {
				n = len(p.Blobs)
				numbers[b.Digest] = n
				p.Blobs = append(p.Blobs, b.Size)
			}
			blobs = append(blobs, n)
		}
		p.Images = append(p.Images, blobs)
	}
}

// withBase makes an image whose first layers are those of another.
func withBase(shared []registrytest.Blob, opts registrytest.ImageOptions) registrytest.Image {
	opts.EditManifest = func(m *ocispec.Manifest) {
		for i, layer := range shared {
			m.Layers = slices.Insert(m.Layers, i, layer.Descriptor)
		}
	}
	img := registrytest.NewImage(opts)
	img.Layers = append(slices.Clone(shared), img.Layers...)
	return img
}

// blobsOf is the config and the layers of an image.
func blobsOf(img registrytest.Image) []registrytest.Blob {
	return append([]registrytest.Blob{img.Config}, img.Layers...)
}

// need is the size of all blobs, each of them once, in bytes.
func (p plan) need() (bytes int64) {
	for _, size := range p.Blobs {
		bytes += size
	}
	return bytes
}

// served is the size of what all nodes pull, in bytes.
func (p plan) served() (bytes int64) {
	for _, pull := range p.Pulls {
		for _, b := range p.Images[pull.Image] {
			bytes += p.Blobs[b]
		}
	}
	return bytes
}

func repository(image int) string { return fmt.Sprintf("fleet/app%d", image) }
