package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// site is mirrors, origins and nginx while they run.
type site struct {
	dir     string
	mirrors []*registrytest.Server
	urls    []string // of the mirrors
	origins []origin
	stops   lab.Stops
}

// origin is a `segpull serve` that runs.
type origin struct {
	lab.Daemon
	metrics string // the path of a socket
}

// startMirrors serves the images from mirrors with rates.
func (s *site) startMirrors(p plan) error {
	content := registrytest.New()
	for i, img := range p.images {
		content.Push(repository(i), tag, registrytest.NewIndex(img))
	}
	for _, rate := range p.shape.mirrors {
		listener, err := program.Loopback{}.Listen(0)
		if err != nil {
			return err
		}
		m := content.Mirror()
		m.Throttle(rate)
		m.Misbehave(registrytest.Latency(p.MirrorDelay))
		url, stop := lab.Serve(m, listener)
		s.mirrors, s.urls, s.stops = append(s.mirrors, m), append(s.urls, url), append(s.stops, stop)
	}
	return nil
}

// startOrigins starts servers with caches of their own, as deploy/nginx/segpull.conf says,
// and an nginx before them.
func (s *site) startOrigins(o Options, number int) (nginx lab.Daemon, err error) {
	var addresses []string
	for i := range number {
		dir := filepath.Join(s.dir, fmt.Sprintf("origin%d", i))
		metrics := filepath.Join(dir, "metrics")
		server := lab.SegpullServer{
			Program: o.Segpull, Dir: dir, Mirrors: s.urls,
			Flags: []string{"--host", "segpull", "--metrics", "unix:" + metrics, fmt.Sprintf("--verified-only=%t", o.VerifiedOnly)},
		}
		if err := os.Mkdir(server.Dir, 0o700); err != nil {
			return nginx, err
		}
		d, err := s.stops.Keep(lab.ServeSegpull(program.Loopback{}, server))
		if err != nil {
			return nginx, err
		}
		s.origins = append(s.origins, origin{d, metrics})
		addresses = append(addresses, strings.TrimPrefix(d.URL, "http://"))
	}
	return s.stops.Keep(lab.ServeBalancer(program.Loopback{}, o.Nginx, addresses, s.dir))
}

// mirrored is how many bytes of blobs the mirrors have sent, and when they had sent all of
// each blob.
func (s *site) mirrored() (bytes int64, whole map[digest.Digest]time.Time) {
	whole = make(map[digest.Digest]time.Time)
	for _, m := range s.mirrors {
		stats := m.Stats()
		bytes += stats.Bytes
		for _, r := range stats.Log {
			d := digest.Digest(r.Reference)
			if r.Kind == registrytest.KindBlob && r.Done.After(whole[d]) {
				whole[d] = r.Done
			}
		}
	}
	return bytes, whole
}

var servedBytes = regexp.MustCompile(`(?m)^segpull_served_bytes_total (\S+)$`)

// served is how many bytes an origin has sent, by its own metrics.
func (o origin) served(ctx context.Context) (int64, error) {
	socket := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", o.metrics)
	}}
	defer socket.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://segpull/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := socket.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mib))
	if err != nil {
		return 0, err
	}
	found := servedBytes.FindSubmatch(body)
	if found == nil {
		return 0, fmt.Errorf("the metrics at %s have no segpull_served_bytes_total", o.metrics)
	}
	bytes, err := strconv.ParseFloat(string(found[1]), 64)
	return int64(bytes), err
}
