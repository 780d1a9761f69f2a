package serve

import (
	"context"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/report"
	"github.com/segpull/segpull/internal/registrytest"
)

const (
	// pullers is how many clients pull the same image, and apart the time between
	// the starts of two of them: all start within the download.
	pullers = 8
	apart   = 100 * time.Millisecond
)

var (
	// shared are the layers of an image that takes a second from all mirrors, and
	// two from the last one.
	shared = []int64{20 * mib, 10 * mib, 4 * mib}
	rates  = []int64{6 * mib, 10 * mib, 18 * mib} // bytes a second
)

// clients lets 8 clients pull an image that the server does not have, from segpull
// serve before three mirrors and from docker-registry before the best of them.
func (m *meter) clients(ctx context.Context) error {
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: shared, Seed: 2})
	servers := []struct {
		name, about, goal, firstGoal string
		rates                        []int64
		start                        func(s *site, mirrors []string) (url string, err error)
	}{
		{segpullServe, "segpull serve, three mirrors", "≤ 1.03", "< 2 s", rates, func(s *site, mirrors []string) (string, error) {
			d, _, err := s.segpull(m.lab.Segpull, mirrors...)
			return d.URL, err
		}},
		{"docker-registry", "docker-registry with proxy.remoteurl, the best mirror", "-", "-", rates[2:], func(s *site, mirrors []string) (string, error) {
			d, err := s.registry(mirrors[0])
			return d.URL, err
		}},
	}
	for _, server := range servers {
		if server.name != segpullServe && !m.has(server.name) {
			continue
		}
		var fetched, first, took []float64
		for range m.runs {
			p, err := m.pullTogether(ctx, img, server.rates, server.start)
			if err != nil {
				return err
			}
			fetched, first, took = append(fetched, p.fetched), append(first, p.first.Seconds()), append(took, p.took.Seconds())
		}
		m.row("8 clients that start within the download, "+server.about+": upstream bytes divided by the need", server.goal, "%s", report.Figures(3, "", fetched...))
		m.row("the latest first byte of a blob, after its client's start", server.firstGoal, "%s", report.Figures(2, " s", first...))
		m.row("until all clients have the image", "-", "%s", report.Figures(1, " s", took...))
	}
	return nil
}

// together is what clients that pulled together got.
type together struct {
	fetched     float64       // bytes from the mirrors, divided by the size of the image
	first, took time.Duration // the latest first byte of all blobs, and the time of all clients
}

// pullTogether starts mirrors of some rates and a server before them, and lets the
// clients pull.
func (m *meter) pullTogether(ctx context.Context, img registrytest.Image, rates []int64, start func(*site, []string) (string, error)) (p together, err error) {
	dir, err := os.MkdirTemp(m.lab.Dir, "clients-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	s := &site{dir: dir, image: img}
	defer s.stops.Stop()
	var urls []string
	var mirrors []*registrytest.Server
	for _, rate := range rates {
		url, reg, err := s.mirror(rate)
		if err != nil {
			return p, err
		}
		urls, mirrors = append(urls, url), append(mirrors, reg)
	}
	url, err := start(s, urls)
	if err != nil {
		return p, err
	}
	started := time.Now()
	blobs, err := pullAtOnce(ctx, url)
	if err != nil {
		return p, err
	}
	p.took = time.Since(started)
	for _, b := range blobs {
		p.first = max(p.first, b.First)
	}
	var fetched int64
	for _, reg := range mirrors {
		fetched += reg.Stats().Bytes
	}
	p.fetched = float64(fetched) / float64(sizeOf(img))
	return p, nil
}

// pullAtOnce lets all clients pull, and returns the blobs that they got.
func pullAtOnce(ctx context.Context, server string) (all []client.Blob, err error) {
	got := make([][]client.Blob, pullers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range pullers {
		group.Go(func() (err error) {
			c := client.New(server+"/v2/"+repository, client.Options{})
			defer c.Close()
			select {
			case <-time.After(time.Duration(i) * apart):
			case <-ctx.Done():
				return ctx.Err()
			}
			got[i], err = c.Pull(ctx, tag)
			return err
		})
	}
	err = group.Wait()
	for _, blobs := range got {
		all = append(all, blobs...)
	}
	return all, err
}

// sizeOf is the number of bytes of an image's blobs.
func sizeOf(img registrytest.Image) int64 {
	size := img.Config.Size
	for _, l := range img.Layers {
		size += l.Size
	}
	return size
}
