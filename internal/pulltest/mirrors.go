package pulltest

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

// ImageOf returns an image with layers of these sizes.
func ImageOf(seed uint64, layers ...int64) registrytest.Image {
	return registrytest.NewImage(registrytest.ImageOptions{Seed: seed, Layers: layers, Platform: "linux/amd64"})
}

// BlobsOf returns the number of bytes of an image's blobs, which a pull has to fetch.
func BlobsOf(img registrytest.Image) int64 {
	total := img.Config.Size
	for _, l := range img.Layers {
		total += l.Size
	}
	return total
}

// Mirrors are mirrors with the same content.
type Mirrors struct {
	Servers []*registrytest.Server
	URLs    []string
}

// Serve starts n mirrors, which all have img as Ref.
func Serve(t *testing.T, n int, img registrytest.Image) *Mirrors {
	t.Helper()
	first := registrytest.New()
	first.Push(Repo, "1", img)
	m := &Mirrors{Servers: []*registrytest.Server{first}}
	for len(m.Servers) < n {
		m.Servers = append(m.Servers, first.Mirror())
	}
	for _, s := range m.Servers {
		m.URLs = append(m.URLs, s.Start(t))
	}
	return m
}

// Name returns the name of the i-th mirror in messages.
func (m *Mirrors) Name(i int) string { return strings.TrimPrefix(m.URLs[i], "http://") }

// Served returns the number of bytes of blobs that all mirrors have sent.
func (m *Mirrors) Served() (n int64) {
	for _, s := range m.Servers {
		n += s.Stats().Bytes
	}
	return n
}

// UntilServed waits until all mirrors have sent so many bytes of blobs, or the test ends.
func (m *Mirrors) UntilServed(t *testing.T, bytes int64) {
	for m.Served() < bytes && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// UntilIdle waits until no mirror is answering a request, or the test ends: a pull that has ended
// may have left some.
func (m *Mirrors) UntilIdle(t *testing.T) {
	busy := func(s *registrytest.Server) bool {
		return slices.ContainsFunc(s.Stats().Log, func(r registrytest.Request) bool { return r.Done.IsZero() })
	}
	for slices.ContainsFunc(m.Servers, busy) && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// ServedBesides returns what Served does, without the image's config, which each pull of an image
// without an index reads.
func (m *Mirrors) ServedBesides(img registrytest.Image) int64 {
	return m.Served() - m.SentOf(img.Config)
}

// Pull pulls with defaults for tests: from all mirrors, into a new directory, for
// linux/amd64.
func (m *Mirrors) Pull(t *testing.T, opts segpull.Options, refs ...string) ([]segpull.Result, error) {
	t.Helper()
	return m.PullContext(t.Context(), t, opts, refs...)
}

// PullContext does the same as Pull with a context.
func (m *Mirrors) PullContext(ctx context.Context, t *testing.T, opts segpull.Options, refs ...string) ([]segpull.Result, error) {
	t.Helper()
	if opts.Mirrors == nil {
		opts.Mirrors = m.URLs
	}
	if opts.Output == "" {
		opts.Output = filepath.Join(t.TempDir(), "app.tar")
	}
	if opts.Platform == "" {
		opts.Platform = "linux/amd64"
	}
	if refs == nil {
		refs = []string{Ref}
	}
	return segpull.Pull(ctx, opts, refs...)
}

// MustPull pulls one image.
func (m *Mirrors) MustPull(t *testing.T, opts segpull.Options) segpull.Result {
	t.Helper()
	results, err := m.Pull(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

// SentOf returns the number of bytes of a blob that the mirrors sent.
func (m *Mirrors) SentOf(b registrytest.Blob) (n int64) {
	for _, s := range m.Servers {
		n += s.Stats().Blobs[b.Digest]
	}
	return n
}

// Interrupted pulls half of an image, and returns the part directory and the number of
// bytes that it has.
func Interrupted(t *testing.T, m *Mirrors, tag string) (dir string, done int64) {
	t.Helper()
	m.Servers[0].Throttle(4 * mib)
	defer m.Servers[0].Throttle(0)
	out := filepath.Join(t.TempDir(), "app.tar")
	ctx, rec, _ := CancelAt(3 * mib)
	_, err := m.PullContext(ctx, t, segpull.Options{Output: out, Observer: rec}, strings.TrimSuffix(Ref, "1")+tag)
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	samples := EventsOf[segpull.Progress](rec)
	return out + ".segpull", samples[len(samples)-1].Done
}
