package quirktest

import (
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// One mirror answers ranges with whole blobs, the other one answers nothing: what the first one
// sends is used, though the other one was asked for some of it.
func TestWholeBlobsBesideSilence(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 6*mib, 6*mib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Throttle(4 * mib)
	m.Servers[0].Misbehave(registrytest.IgnoreRange())
	m.Servers[1].Misbehave(registrytest.Hang())
	m.MustPull(t, segpull.Options{})
	if sent, need := m.ServedBesides(img), pulltest.BlobsOf(img); float64(sent) > 1.01*float64(need) {
		t.Errorf("the mirrors sent %d bytes of %d", sent, need)
	}
}
