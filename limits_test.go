package segpull_test

import (
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

func TestTheLimitHoldsForAllTraffic(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 2, img)
	began := time.Now()
	m.MustPull(t, segpull.Options{Limits: segpull.NewLimits(2 * mib)})
	took := time.Since(began).Seconds()
	if rate := float64(pulltest.BlobsOf(img)) / took; rate > 2.06*mib || rate < mib/2 {
		t.Errorf("%.2f MiB/s under a limit of 2", rate/mib)
	}
}

func TestTheSearchForCorruptSourcesKeepsToTheLimits(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	m := pulltest.Serve(t, 2, img)
	m.Servers[0].Misbehave(registrytest.Flip(0, mib).Of(img.Layers[0].Digest))
	began := time.Now()
	r := m.MustPull(t, segpull.Options{Limits: segpull.NewLimits(mib), Connections: 1})
	took := time.Since(began).Seconds()
	if rate := float64(r.Fetched) / took; rate > 1.1*mib {
		t.Errorf("%.2f MiB/s under a limit of 1", rate/mib)
	}
	for i, s := range m.Servers {
		if n := s.Stats().Concurrent; n > 1 {
			t.Errorf("mirror %d was asked for %d things at once", i, n)
		}
	}
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
}

func TestPullsShareALimit(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, mib)
	limits := segpull.NewLimits(2 * mib)
	began := time.Now()
	var pulls sync.WaitGroup
	for range 2 {
		pulls.Go(func() {
			if _, err := pulltest.Serve(t, 1, img).Pull(t, segpull.Options{Limits: limits}); err != nil {
				t.Error(err)
			}
		})
	}
	pulls.Wait()
	took := time.Since(began).Seconds()
	if rate := float64(2*pulltest.BlobsOf(img)) / took; rate > 2.06*mib || rate < mib/2 {
		t.Errorf("%.2f MiB/s under a shared limit of 2", rate/mib)
	}
}

// A limit that Limits has for a mirror holds instead of the configuration's, and
// changes while the pull runs.
func TestTheLimitOfAMirrorChanges(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 2*mib)
	m := pulltest.Serve(t, 1, img)
	limits := segpull.NewLimits(0)
	limits.SetMirror(m.Name(0), 100*kib) // the image would take 20 seconds
	raised := false
	rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
		if p, ok := e.(segpull.Progress); ok && !raised && p.Done > 0 {
			raised = true
			if p.Done > mib/2 {
				t.Errorf("%d bytes at once under a limit of 100 KiB/s", p.Done)
			}
			limits.SetMirror(m.Name(0), 0)
		}
	}}
	if r := m.MustPull(t, segpull.Options{Limits: limits, Observer: rec}); r.Duration.Seconds() > 10 {
		t.Errorf("the pull took %v", r.Duration)
	}
}
