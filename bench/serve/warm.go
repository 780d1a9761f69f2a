package serve

import (
	"context"
	"os"
	"path/filepath"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/lab"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// warm is a server that has a blob on its disk.
type warm struct {
	name string
	url  string // of the blob
	pid  int
}

// segpullServe is the name of the server that the others are compared with.
const segpullServe = "segpull serve"

// withWarm calls f with segpull serve, docker-registry and nginx, as far as they
// are installed. All have a layer of some bytes.
func (m *meter) withWarm(ctx context.Context, size int64, f func([]warm) error) error {
	dir, err := os.MkdirTemp(m.lab.Dir, "warm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &site{dir: dir, image: registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{size}, Seed: 1})}
	defer s.stops.Stop()
	upstream, _, err := s.mirror(0)
	if err != nil {
		return err
	}
	blob := "/v2/" + repository + "/blobs/" + s.image.Layers[0].Digest.String()

	server, blobs, err := s.segpull(m.lab.Segpull, upstream)
	if err != nil {
		return err
	}
	if err := pull(ctx, server.URL); err != nil {
		return err
	}
	all := []warm{{segpullServe, server.URL + blob, server.PID}}
	if m.has("docker-registry") {
		registry, err := s.registry("")
		if err != nil {
			return err
		}
		if err := lab.Push(ctx, registry.URL+"/"+repository, tag, s.image); err != nil {
			return err
		}
		all = append(all, warm{"docker-registry", registry.URL + blob, registry.PID})
	}
	if m.has("nginx") {
		files, err := s.stops.Keep(lab.ServeFiles(program.Loopback{}, blobs, dir))
		if err != nil {
			return err
		}
		all = append(all, warm{"nginx", files.URL + "/" + s.image.Layers[0].Digest.Encoded(), files.PID})
	}
	return f(all)
}

// site is an image, and servers that have it or can get it.
type site struct {
	dir   string
	image registrytest.Image
	stops lab.Stops
}

// mirror serves the image with some bytes a second; 0: no limit.
func (s *site) mirror(rate int64) (url string, reg *registrytest.Server, err error) {
	reg = registrytest.New()
	reg.Push(repository, tag, s.image)
	reg.Throttle(rate)
	listener, err := program.Loopback{}.Listen(0)
	if err != nil {
		return "", nil, err
	}
	url, stop := lab.Serve(reg, listener)
	s.stops = append(s.stops, stop)
	return url, reg, nil
}

// segpull starts a `segpull serve` before mirrors. Its cache has the files of its
// blobs in a directory.
func (s *site) segpull(path string, mirrors ...string) (d lab.Daemon, blobs string, err error) {
	server := lab.SegpullServer{Program: path, Dir: filepath.Join(s.dir, "serve"), Mirrors: mirrors}
	if err := os.Mkdir(server.Dir, 0o700); err != nil {
		return lab.Daemon{}, "", err
	}
	d, err = s.stops.Keep(lab.ServeSegpull(program.Loopback{}, server))
	return d, server.Blobs(), err
}

// registry starts a docker-registry: a pull-through cache of upstream or, where that is
// "", a registry with images of its own.
func (s *site) registry(upstream string) (lab.Daemon, error) {
	dir := filepath.Join(s.dir, "registry")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return lab.Daemon{}, err
	}
	return s.stops.Keep(lab.ServeRegistry(program.Loopback{}, lab.Registry{Dir: dir, Upstream: upstream}))
}

// pull pulls the image from a server, and checks it.
func pull(ctx context.Context, server string) error {
	c := client.New(server+"/v2/"+repository, client.Options{})
	defer c.Close()
	_, err := c.Pull(ctx, tag)
	return err
}
