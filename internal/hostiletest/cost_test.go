package hostiletest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// TestWhatACorruptSourceCosts pulls from an honest mirror and a corrupt one: layers that
// compress, and some that do not. If few bytes are wrong, or if they come from another
// layer, the stream may not break, and finding them costs more.
func TestWhatACorruptSourceCosts(t *testing.T) {
	t.Parallel()
	sizes := []int64{2 * mib, mib / 2, 200 * kib}
	text, otherText := pulltest.TextImage(t, 1, sizes...), pulltest.TextImage(t, 11, sizes...)
	noise, otherNoise := pulltest.ImageOf(1, sizes...), pulltest.ImageOf(11, sizes...)
	one, otherOne := pulltest.TextImage(t, 2, 12*mib), pulltest.TextImage(t, 12, 12*mib)
	many, otherMany := pulltest.ImageOf(3, 4*mib, 4*mib, 4*mib, 4*mib), pulltest.ImageOf(13, 4*mib, 4*mib, 4*mib, 4*mib)
	flips := registrytest.Flip(0, 12*mib)
	aBit := registrytest.Rewrite(func(p []byte, _ int64) { p[len(p)/2] ^= 0x10 })
	sameBits := registrytest.Rewrite(func(p []byte, offset int64) {
		for k := -offset & (128*kib - 1); k < int64(len(p)); k += 128 * kib {
			p[k] ^= 0x10
		}
	})
	const shown, hidden = 2.2, 2.4 // how many times the bytes, on a busy machine
	slow, fast, faster := []int64{5 * mib, 3 * mib}, []int64{3 * mib, 5 * mib}, []int64{mib / 2, 3 * mib / 2}
	for what, tc := range map[string]struct {
		img   registrytest.Image
		fault registrytest.Fault
		rates []int64 // bytes a second of the honest one and of the corrupt one
		most  float64
		first bool // the corrupt one is the first-named
	}{
		"all bits of some answers":         {text, flips.Sometimes(0.3), slow, shown, false},
		"all bits of some answers, fast":   {text, flips.Sometimes(0.3), fast, shown, false},
		"all bits of some answers, stored": {noise, flips.Sometimes(0.3), fast, shown, false},
		"a bit of some answers":            {text, aBit.Sometimes(0.3), slow, hidden, false},
		"a bit of some answers, stored":    {noise, aBit.Sometimes(0.3), slow, hidden, false},
		"a bit of all answers, fast":       {text, aBit, fast, shown, false},
		"the same bits always":             {text, sameBits, slow, hidden, false},
		"the same bits always, stored":     {noise, sameBits, slow, hidden, false},
		"another layer":                    {text, registrytest.Impostor(otherText.Layers[0]).Of(text.Layers[0].Digest), slow, hidden, false},
		"another layer, stored":            {noise, registrytest.Impostor(otherNoise.Layers[0]).Of(noise.Layers[0].Digest), slow, hidden, false},
		"garbage for a part":               {text, registrytest.Garbage(mib/2, mib), slow, shown, false},
		"garbage for a part, fast":         {text, registrytest.Garbage(mib/2, mib), fast, shown, false},
		"garbage for a part, stored, fast": {noise, registrytest.Garbage(mib/2, mib), fast, shown, false},
		"garbage for a layer":              {text, registrytest.Garbage(0, 2*mib).Of(text.Layers[0].Digest), slow, shown, false},
		"garbage always, fast":             {text, registrytest.Garbage(0, 2*mib), fast, shown, false},
		"all bits of one layer, faster":    {one, flips.Of(one.Layers[0].Digest), faster, shown, false},
		"all bits of one layer, first":     {one, flips.Of(one.Layers[0].Digest), []int64{mib, 5 * mib / 3}, shown, true},
		"others for all layers, first":     {many, impostors(many, otherMany), []int64{6 * mib, 6 * mib}, shown, true},
		"another for one layer, faster":    {one, registrytest.Impostor(otherOne.Layers[0]).Of(one.Layers[0].Digest), faster, shown, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 2, tc.img)
			honest, corrupt := 0, 1
			if tc.first {
				honest, corrupt = 1, 0
			}
			m.Servers[honest].Throttle(tc.rates[0])
			m.Servers[corrupt].Throttle(tc.rates[1])
			m.Servers[corrupt].Misbehave(tc.fault)
			// The honest mirror would need long for the share of the corrupt one.
			rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
				if aside, ok := e.(segpull.Trouble); ok && aside.Source == m.Name(corrupt) {
					m.Servers[honest].Throttle(0)
				}
			}}
			r := m.MustPull(t, segpull.Options{Observer: rec, SegmentSize: 128 * kib})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), tc.img)
			// Not the bytes that the servers wrote: how many bytes of an aborted answer
			// are in socket buffers depends on how busy the machine is.
			ratio := float64(r.Fetched) / float64(pulltest.BlobsOf(tc.img))
			t.Logf("%s: %.2f of the bytes: %s", what, ratio, rec.Warnings())
			if ratio > tc.most {
				t.Errorf("%.2f of the bytes were fetched", ratio)
			}
			if slices.Contains(r.Corrupt, m.Name(honest)) || len(r.Corrupt) == 0 && ratio > 1.2 {
				t.Errorf("corrupt sources %q, not %q", r.Corrupt, m.Name(corrupt))
			}
		})
	}
}

// impostors serves the layers of other in place of those of img.
func impostors(img, other registrytest.Image) registrytest.Fault {
	var all []registrytest.Fault
	for i, l := range img.Layers {
		all = append(all, registrytest.Impostor(other.Layers[i]).Of(l.Digest))
	}
	return registrytest.All(all...)
}

func TestACorruptSourceIsRemembered(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 2, img)
	for _, s := range m.Servers {
		s.Throttle(8 * mib)
	}
	m.Servers[1].Misbehave(registrytest.Flip(0, mib))
	history := filepath.Join(t.TempDir(), "mirrors.json")
	if r := m.MustPull(t, segpull.Options{History: history}); !slices.Equal(r.Corrupt, []string{m.Name(1)}) {
		t.Fatalf("corrupt sources %q", r.Corrupt)
	}
	m.Servers[1].Misbehave()
	rec := &pulltest.Recorder{}
	before := m.Servers[1].Stats().Bytes
	r := m.MustPull(t, segpull.Options{History: history, Observer: rec})
	if w := rec.Warnings(); !strings.HasPrefix(w, m.Name(1)) || !strings.Contains(w, time.Now().Format("2006-01")) {
		t.Errorf("warnings %q", w)
	}
	if len(r.Corrupt) > 0 || m.Servers[1].Stats().Bytes == before {
		t.Errorf("a source that serves right bytes again is not used, or is in %q", r.Corrupt)
	}
}
