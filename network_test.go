package segpull_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
)

// TestPullsSurvive lists faults of an honest mirror and its network, and what each may
// cost.
func TestPullsSurvive(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 3*mib, 300*kib)
	for what, tc := range map[string]struct {
		mirrors int
		faults  []registrytest.Fault // of all mirrors
		cost    float64              // bytes served over bytes needed
	}{
		"a cache that sends all until it is full":  {1, []registrytest.Fault{registrytest.PullThroughCache()}, 1.3},
		"two caches that send all until full":      {2, []registrytest.Fault{registrytest.PullThroughCache()}, 2.1},
		"a mirror that always sends all":           {1, []registrytest.Fault{registrytest.IgnoreRange()}, 1.3},
		"a proxy of Harbor":                        {1, []registrytest.Fault{registrytest.HarborProxy()}, 1.3},
		"a Content-Range of Nexus":                 {1, []registrytest.Fault{registrytest.NexusContentRange()}, 1.3},
		"connections that end every 200 KiB":       {2, []registrytest.Fault{registrytest.CutAfter(200 * kib)}, 1.3},
		"connections reset between 50 and 500 KiB": {2, []registrytest.Fault{registrytest.CutBetween(50*kib, 500*kib)}, 1.3},
		"a tenth of the answers is 500":            {2, []registrytest.Fault{registrytest.Status(500).Sometimes(0.1).On()}, 1.3},
		"two connections at most":                  {2, []registrytest.Fault{registrytest.MaxConcurrent(2)}, 1.3},
		"a budget of requests":                     {2, []registrytest.Fault{registrytest.Budget(10, time.Second)}, 1.3},
		"a wait before the first byte":             {2, []registrytest.Fault{registrytest.FirstByteDelay(100 * time.Millisecond)}, 1.3},
		"a round trip of 50 ms":                    {2, []registrytest.Fault{registrytest.Latency(50 * time.Millisecond)}, 1.3},
		"bodies that pause":                        {2, []registrytest.Fault{registrytest.PauseAfter(100*kib, 300*time.Millisecond).Every(3)}, 1.5},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, tc.mirrors, img)
			for _, s := range m.Servers {
				s.Misbehave(tc.faults...)
				s.Throttle(4 * mib)
			}
			r := m.MustPull(t, segpull.Options{SegmentSize: 512 * kib})
			pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
			if n := m.Served(); n > int64(tc.cost*float64(pulltest.BlobsOf(img)))+slack {
				t.Errorf("%d bytes of %d were served", n, pulltest.BlobsOf(img))
			}
			if len(r.Corrupt) > 0 {
				t.Errorf("%q is called corrupt", r.Corrupt)
			}
		})
	}
}

func TestTokensThatExpireOnTheWayAreFetchedAgain(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 3*mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Throttle(mib)
	m.Servers[0].Misbehave(registrytest.Bearer(registrytest.Auth{Lifetime: time.Second}))
	r := m.MustPull(t, segpull.Options{SegmentSize: 256 * kib})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
	if n := m.Servers[0].Stats().Requests[registrytest.KindToken]; n < 2 || n > 10 {
		t.Errorf("%d tokens were fetched", n)
	}
	if n := m.Served(); n > pulltest.BlobsOf(img)*13/10+slack {
		t.Errorf("%d bytes of %d were served", n, pulltest.BlobsOf(img))
	}
}

func TestARedirectIsKeptUntilItExpires(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 3*mib)
	m := pulltest.Serve(t, 1, img)
	cdn := m.Servers[0].Mirror()
	cdn.Throttle(mib)
	m.Servers[0].Misbehave(registrytest.SignedRedirect(cdn.Start(t), time.Second))
	r := m.MustPull(t, segpull.Options{SegmentSize: 256 * kib, Connections: 2})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
	asked, served := m.Servers[0].Stats(), cdn.Stats()
	if n := asked.Requests[registrytest.KindBlob]; n < 2 || n > served.Requests[registrytest.KindCDN] {
		t.Errorf("the registry was asked %d times for %d requests to its CDN", n, served.Requests[registrytest.KindCDN])
	}
	if served.Statuses[http.StatusForbidden] == 0 {
		t.Error("no signature expired on the way")
	}
	if served.Statuses[http.StatusBadRequest] > 0 {
		t.Error("the CDN was sent credentials")
	}
}

// A foreign layer is never fetched from a private address, and loopback is one. So this
// test can only show that the pull uses the registry's own copy, and that it asks no
// other source if there is no copy.
func TestAForeignLayerIsNotFetchedFromInside(t *testing.T) {
	t.Parallel()
	inside := registrytest.New()
	at := inside.Start(t)
	img := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64", EditManifest: func(m *ocispec.Manifest) {
		m.Layers[0].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		m.Layers[0].URLs = []string{at + "/layer", strings.Replace(at, "127.0.0.1", "localhost", 1) + "/layer"}
	}})
	m := pulltest.Serve(t, 1, img)
	r := m.MustPull(t, segpull.Options{})
	pulltest.CheckOCI(t, pulltest.Contents(t, r.Path), img)

	m.Servers[0].Misbehave(registrytest.Status(404).Of(img.Layers[0].Digest))
	_, err := m.Pull(t, segpull.Options{})
	pulltest.WantError(t, err, segpull.ErrPermanent, "not a public address")
	if n := len(inside.Stats().Log); n > 0 {
		t.Errorf("a private address was asked %d times", n)
	}
}

func TestAMirrorThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 4*mib)
	m := pulltest.Serve(t, 1, img)
	m.Servers[0].Throttle(4 * mib)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var died bool
	rec := &pulltest.Recorder{Hook: func(e segpull.Event) {
		if p, ok := e.(segpull.Progress); ok && p.Done > mib && !died {
			died = true
			m.Servers[0].Kill()
			time.AfterFunc(time.Second, m.Servers[0].Revive)
		}
	}}
	results, err := m.PullContext(ctx, t, segpull.Options{Observer: rec})
	if err != nil {
		t.Fatal(err)
	}
	pulltest.CheckDocker(t, pulltest.Contents(t, results[0].Path), img)
	if n := m.Served(); n > pulltest.BlobsOf(img)*6/5+slack {
		t.Errorf("%d bytes of %d were served", n, pulltest.BlobsOf(img))
	}
}

// The three sources are of very different rates, so that the fast one would fetch again
// what the slow ones have not sent.
func TestNoRaceFetchesHardlyAnythingTwice(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 300*kib)
	m := pulltest.Serve(t, 3, img)
	for i, rate := range []int64{4 * mib, mib / 2, mib / 8} {
		m.Servers[i].Throttle(rate)
	}
	r := m.MustPull(t, segpull.Options{NoRace: true})
	pulltest.CheckDocker(t, pulltest.Contents(t, r.Path), img)
	if r.FetchedTwice != r.Fetched-r.Size || r.FetchedTwice > 96*kib {
		t.Errorf("%d of %d bytes came twice, for an image of %d", r.FetchedTwice, r.Fetched, r.Size)
	}
}
