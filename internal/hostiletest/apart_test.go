package hostiletest

import (
	"slices"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestSourcesThatCorruptDifferentBytes(t *testing.T) {
	t.Parallel()
	noise, text := pulltest.ImageOf(1, 2*mib, 2*mib), pulltest.TextImage(t, 1, 2*mib, 2*mib)
	faults := func(faults ...registrytest.Fault) []registrytest.Fault { return faults }
	for what, tc := range map[string]struct {
		img    registrytest.Image
		faults []registrytest.Fault // of each mirror
	}{
		"garbage":                      {text, faults(registrytest.Garbage(0, mib/2), registrytest.Garbage(mib, 2*mib))},
		"garbage that hides":           {noise, faults(registrytest.Garbage(0, mib/2), registrytest.Garbage(mib, 2*mib))},
		"a few bytes, which hide":      {noise, faults(registrytest.Flip(mib/2, mib/2+8), registrytest.Flip(mib, mib+8))},
		"garbage that touches, hidden": {noise, faults(registrytest.Garbage(0, 5*mib/4), registrytest.Garbage(5*mib/4, 2*mib))},
		"each a layer":                 {text, faults(registrytest.Flip(0, mib).Of(text.Layers[0].Digest), registrytest.Flip(0, mib).Of(text.Layers[1].Digest))},
		"each a byte of a layer":       {noise, faults(registrytest.Flip(mib/2, mib/2+1).Of(noise.Layers[0].Digest), registrytest.Flip(mib/2, mib/2+1).Of(noise.Layers[1].Digest))},
		"three, of which two agree":    {noise, faults(registrytest.Flip(mib/2, mib), registrytest.Flip(mib/2, mib), registrytest.Flip(5*mib/4, 3*mib/2))},
		"two of three, none agreeing":  {text, faults(registrytest.Garbage(0, mib), registrytest.Flip(mib, 2*mib), registrytest.Flip(mib/2, mib))},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, len(tc.faults), tc.img)
			var names []string
			for i, s := range m.Servers {
				s.Throttle(8 * mib)
				s.Misbehave(tc.faults[i])
				names = append(names, m.Name(i))
			}
			rec := &pulltest.Recorder{}
			r := m.MustPull(t, segpull.Options{Observer: rec, SegmentSize: 128 * kib})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), tc.img)
			ratio := float64(m.Served()) / float64(pulltest.BlobsOf(tc.img))
			t.Logf("%.2f of the bytes, %d corrupt sources: %s", ratio, len(r.Corrupt), rec.Warnings())
			if ratio > float64(2+len(tc.faults)) {
				t.Errorf("%.2f of the bytes were served", ratio)
			}
			for _, name := range r.Corrupt {
				if !slices.Contains(names, name) {
					t.Errorf("%s is not a source", name)
				}
			}
		})
	}
}
