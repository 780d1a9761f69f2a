package hostiletest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// inverted returns the bytes of a blob with all bits inverted.
func inverted(b registrytest.Blob) registrytest.Blob {
	return registrytest.Blob{Descriptor: b.Descriptor, ReaderAt: inverse{b}}
}

type inverse struct{ registrytest.Blob }

func (i inverse) ReadAt(p []byte, off int64) (int, error) {
	n, err := i.Blob.ReadAt(p, off)
	for k := range n {
		p[k] ^= 0xff
	}
	return n, err
}

func TestTheCorruptSourceIsFound(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 3*mib, mib, 300*kib)
	large, small := img.Layers[0], img.Layers[2]
	flips := registrytest.Flip(0, large.Size)
	for what, tc := range map[string]struct {
		mirrors int
		faults  map[int]registrytest.Fault
		rates   []int64 // MiB a second; default 8 each, 6 of the second
		certain bool    // segpull finds it, whichever bytes it serves
	}{
		"it flips some bits of all answers":      {2, map[int]registrytest.Fault{1: registrytest.Flip(1000, 1001)}, nil, false},
		"it flips all bits of some answers":      {2, map[int]registrytest.Fault{1: flips.Sometimes(0.3)}, nil, false},
		"it flips all bits of few answers":       {3, map[int]registrytest.Fault{1: flips.Every(7)}, nil, false},
		"it flips all bits of all answers":       {2, map[int]registrytest.Fault{1: flips}, nil, true},
		"it has another large blob":              {3, map[int]registrytest.Fault{1: registrytest.Impostor(inverted(large)).Of(large.Digest)}, nil, false},
		"it has another small blob":              {2, map[int]registrytest.Fault{1: registrytest.Impostor(inverted(small)).Of(small.Digest)}, nil, false},
		"it has garbage for a part":              {2, map[int]registrytest.Fault{0: registrytest.Garbage(mib/2, 3*mib/2)}, nil, false},
		"it is the first-named":                  {3, map[int]registrytest.Fault{0: flips.Sometimes(0.5)}, nil, false},
		"it is the fastest":                      {3, map[int]registrytest.Fault{1: flips.Sometimes(0.5)}, []int64{4, 12, 4}, false},
		"two of four, each in its way":           {4, map[int]registrytest.Fault{0: flips.Sometimes(0.5), 2: registrytest.Impostor(inverted(large)).Of(large.Digest)}, nil, false},
		"two of four, with the same wrong bytes": {4, map[int]registrytest.Fault{0: registrytest.Impostor(inverted(large)).Of(large.Digest), 2: registrytest.Impostor(inverted(large)).Of(large.Digest)}, nil, false},
		"three of four":                          {4, map[int]registrytest.Fault{0: flips, 1: registrytest.Garbage(0, mib), 3: flips.Sometimes(0.5)}, nil, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, tc.mirrors, img)
			var corrupt []string
			for i, s := range m.Servers {
				rate := []int64{8, 6, 8, 8}[i]
				if tc.rates != nil {
					rate = tc.rates[i]
				}
				s.Throttle(rate * mib)
				if fault, ok := tc.faults[i]; ok {
					s.Misbehave(fault)
					corrupt = append(corrupt, m.Name(i))
				}
			}
			rec := &pulltest.Recorder{}
			r := m.MustPull(t, segpull.Options{Observer: rec, SegmentSize: 256 * kib})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
			pulltest.WantFiles(t, filepath.Dir(r.Path), "app.tar")

			ratio := float64(m.Served()) / float64(pulltest.BlobsOf(img))
			t.Logf("%.2f of the bytes; %d of %d corrupt sources were found: %s", ratio, len(r.Corrupt), len(corrupt), rec.Warnings())
			// The cost depends on which mirror served which bytes. At the worst, each
			// mirror sends all bytes a second time.
			if ratio > float64(1+tc.mirrors) {
				t.Errorf("%.2f of the bytes were served", ratio)
			}
			for _, name := range r.Corrupt {
				if !slices.Contains(corrupt, name) {
					t.Errorf("%s was blamed, and serves right bytes", name)
				}
				if !strings.Contains(rec.Warnings(), name) {
					t.Errorf("there is no warning of %s", name)
				}
			}
			// If another mirror was always faster, no wrong byte was used.
			if len(r.Corrupt) == 0 && tc.certain {
				t.Error("no corrupt source was found")
			}
			if n := len(pulltest.EventsOf[segpull.Corrupt](rec)); n != len(r.Corrupt) {
				t.Errorf("%d events for %d corrupt sources", n, len(r.Corrupt))
			}
		})
	}
}

func TestACorruptSourceIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	img, other := pulltest.ImageOf(1, mib), pulltest.ImageOf(2, mib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Push(repo, "2", other)
	m.Servers[1].Misbehave(registrytest.Flip(0, mib))
	for _, s := range m.Servers {
		s.Throttle(8 * mib)
	}
	rec := &pulltest.Recorder{}
	var before int64
	rec.Hook = func(e segpull.Event) {
		if _, ok := e.(segpull.Finished); ok && before == 0 {
			before = m.Servers[1].Stats().Bytes
		}
	}
	results, err := m.Pull(t, segpull.Options{Output: t.TempDir(), Observer: rec}, ref, "registry.example/team/app:2")
	if err != nil {
		t.Fatal(err)
	}
	if after := m.Servers[1].Stats().Bytes; after != before {
		t.Errorf("the corrupt source served %d bytes more", after-before)
	}
	if !slices.Equal(results[1].Corrupt, []string{m.Name(1)}) {
		t.Errorf("corrupt sources %q", results[1].Corrupt)
	}
	var states []string
	for _, p := range pulltest.EventsOf[segpull.Progress](rec) {
		states = append(states, p.Sources[1].State)
	}
	if states[len(states)-1] != "off" {
		t.Errorf("at last the corrupt source is %q", states[len(states)-1])
	}
}

func TestWithCorruptSourcesAloneNothingIsKept(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib, 300*kib)
	large := img.Layers[0]
	for what, faults := range map[string][]registrytest.Fault{
		"one":                           {registrytest.Flip(0, mib)},
		"two":                           {registrytest.Flip(0, mib), registrytest.Garbage(0, 300)},
		"two with the same wrong bytes": {registrytest.Impostor(inverted(large)).Of(large.Digest), registrytest.Impostor(inverted(large)).Of(large.Digest)},
		"three":                         {registrytest.Flip(0, mib), registrytest.Garbage(0, 300), registrytest.Flip(0, mib/2)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, len(faults), img)
			names := []string{"digest"}
			for i, fault := range faults {
				m.Servers[i].Misbehave(fault)
				names = append(names, m.Name(i))
			}
			out := filepath.Join(t.TempDir(), "app.tar")
			rec := &pulltest.Recorder{}
			_, err := m.Pull(t, segpull.Options{Output: out, Observer: rec})
			pulltest.WantError(t, err, segpull.ErrMismatch, append(names, "--mirror")...)
			pulltest.WantFiles(t, filepath.Dir(out), "app.tar.segpull")

			for _, s := range m.Servers {
				s.Misbehave()
			}
			rec = &pulltest.Recorder{}
			r := m.MustPull(t, segpull.Options{Output: out, Observer: rec})
			if len(r.Corrupt) > 0 || r.Fetched+r.Resumed > pulltest.BlobsOf(img)*8/5 {
				t.Errorf("of %d resumed bytes some were wrong: %d more were fetched, %s", r.Resumed, r.Fetched, rec.Warnings())
			}
			pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
		})
	}
}

func TestASourceThatFallsSilentIsAskedAgainInTheNextRun(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	large := img.Layers[0]
	m := pulltest.Serve(t, 2, img)
	for _, s := range m.Servers {
		s.Throttle(2 * mib)
	}
	m.Servers[0].Misbehave(registrytest.Impostor(inverted(large)).Of(large.Digest))
	out := filepath.Join(t.TempDir(), "app.tar")
	rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
		if p, ok := e.(segpull.Progress); ok && p.Done > mib/2 {
			m.Servers[1].Misbehave(registrytest.Hang())
		}
	}}
	_, err := m.Pull(t, segpull.Options{Output: out, Observer: rec, GiveUpAfter: time.Second, SegmentSize: 128 * kib})
	pulltest.WantError(t, err, segpull.ErrNetwork, "run the same command again")
	m.Servers[1].Misbehave()
	r := m.MustPull(t, segpull.Options{Output: out})
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
	if r.Resumed == 0 {
		t.Error("nothing was kept")
	}
}

func TestABlobThatOnlyACorruptSourceHas(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	large := img.Layers[0]
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Misbehave(registrytest.Flip(100, 200).Of(large.Digest))
	m.Servers[1].Misbehave(registrytest.Status(404).Of(large.Digest))
	_, err := m.Pull(t, segpull.Options{})
	pulltest.WantError(t, err, segpull.ErrMismatch, m.Name(0), "404")
}

func TestASingleSourceGetsOneMoreTry(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Misbehave(registrytest.Flip(0, mib).Of(img.Layers[0].Digest).Times(1))
	rec := &pulltest.Recorder{}
	r := m.MustPull(t, segpull.Options{Observer: rec})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
	if !strings.Contains(rec.Warnings(), "once more") || len(r.Corrupt) > 0 {
		t.Errorf("warnings %q, corrupt sources %q", rec.Warnings(), r.Corrupt)
	}
}

func TestACorruptSourceOfAnEarlierRunIsFound(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*mib, mib)
	m := pulltest.Serve(t, 2, img)
	for _, s := range m.Servers {
		s.Throttle(2 * mib)
	}
	m.Servers[1].Misbehave(registrytest.Flip(0, 4*mib).Of(img.Layers[0].Digest))
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := pulltest.CancelAt(2 * mib)
	if _, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec}); err == nil {
		t.Fatal("ended well")
	}
	if m.Servers[1].Stats().Bytes == 0 {
		t.Fatal("the corrupt source served nothing")
	}
	corrupt := m.Name(1)
	m.Servers[1].Kill()
	rec = &pulltest.Recorder{}
	r := m.MustPull(t, segpull.Options{Output: out, Mirrors: m.URLs[:1], Observer: rec})
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
	if !slices.Equal(r.Corrupt, []string{corrupt}) {
		t.Errorf("corrupt sources %q, warnings %s", r.Corrupt, rec.Warnings())
	}
	if n := m.Served(); n > pulltest.BlobsOf(img)*8/5+slack {
		t.Errorf("%d bytes of %d were served", n, pulltest.BlobsOf(img))
	}
}

func TestADiskThatChangesBytesBlamesNoSource(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*mib)
	m := pulltest.Serve(t, 2, img)
	for _, s := range m.Servers {
		s.Throttle(2 * mib)
	}
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := pulltest.CancelAt(2 * mib)
	if _, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec}); err == nil {
		t.Fatal("ended well")
	}
	part, err := os.OpenFile(filepath.Join(out+".segpull", "part"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if _, err := part.WriteAt(make([]byte, 1000), mib); err != nil {
		t.Fatal(err)
	}
	r := m.MustPull(t, segpull.Options{Output: out})
	pulltest.CheckDocker(t, pulltest.Contents(t, out), img)
	if len(r.Corrupt) > 0 {
		t.Errorf("corrupt sources %q", r.Corrupt)
	}
	if over := m.Served() - pulltest.BlobsOf(img); over > 3*mib/2 {
		t.Errorf("%d bytes were fetched again for 1000 damaged ones", over)
	}
}
