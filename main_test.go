package segpull_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

// TestMain keeps out the credentials, mirrors and proxies of whoever runs the
// tests. Most of them wait for a slow mirror rather than compute, so that more
// of them run at once than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	home, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		os.Setenv(name, home)
	}
	for _, name := range []string{"REGISTRY_AUTH_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

const (
	kib = 1 << 10
	mib = 1 << 20

	repo = "team/app"
	ref  = "registry.example/team/app:1"
)

// imageOf is an image with layers of these sizes.
func imageOf(seed uint64, layers ...int64) registrytest.Image {
	return registrytest.NewImage(registrytest.ImageOptions{Seed: seed, Layers: layers, Platform: "linux/amd64"})
}

// blobsOf is the bytes of an image's blobs: what a pull has to fetch.
func blobsOf(img registrytest.Image) int64 {
	total := img.Config.Size
	for _, l := range img.Layers {
		total += l.Size
	}
	return total
}

// mirrors is a network of mirrors that have the same content.
type mirrors struct {
	servers []*registrytest.Server
	urls    []string
}

// serve starts n mirrors, which all have img as ref.
func serve(t *testing.T, n int, img registrytest.Image) *mirrors {
	t.Helper()
	first := registrytest.New()
	first.Push(repo, "1", img)
	m := &mirrors{servers: []*registrytest.Server{first}}
	for len(m.servers) < n {
		m.servers = append(m.servers, first.Mirror())
	}
	for _, s := range m.servers {
		m.urls = append(m.urls, s.Start(t))
	}
	return m
}

// name is what messages call the i-th mirror.
func (m *mirrors) name(i int) string { return strings.TrimPrefix(m.urls[i], "http://") }

// slack is what hedges and requests that are broken off may cost a pull,
// however small its image is.
const slack = mib

// served is the bytes of blobs that all mirrors have sent.
func (m *mirrors) served() (n int64) {
	for _, s := range m.servers {
		n += s.Stats().Bytes
	}
	return n
}

// servedBesides is what all mirrors have sent but for the image's config, which is read each time that an
// image without an index is resolved, as its manifest is.
func (m *mirrors) servedBesides(img registrytest.Image) int64 {
	return m.served() - sentOf(m, img.Config)
}

// pull pulls with defaults that suit a test: all mirrors, into a folder of
// its own, for linux/amd64.
func (m *mirrors) pull(t *testing.T, opts segpull.Options, refs ...string) ([]segpull.Result, error) {
	t.Helper()
	return m.pullContext(t.Context(), t, opts, refs...)
}

func (m *mirrors) pullContext(ctx context.Context, t *testing.T, opts segpull.Options, refs ...string) ([]segpull.Result, error) {
	t.Helper()
	if opts.Mirrors == nil {
		opts.Mirrors = m.urls
	}
	if opts.Output == "" {
		opts.Output = filepath.Join(t.TempDir(), "app.tar")
	}
	if opts.Platform == "" {
		opts.Platform = "linux/amd64"
	}
	if refs == nil {
		refs = []string{ref}
	}
	return segpull.Pull(ctx, opts, refs...)
}

// mustPull pulls one image.
func (m *mirrors) mustPull(t *testing.T, opts segpull.Options) segpull.Result {
	t.Helper()
	results, err := m.pull(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

// recorder keeps all events.
type recorder struct {
	mu     sync.Mutex
	events []segpull.Event
	hook   func(segpull.Event)
}

func (r *recorder) Observe(e segpull.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	if r.hook != nil {
		r.hook(e)
	}
}

// eventsOf returns the events of one kind.
func eventsOf[E segpull.Event](r *recorder) []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []E
	for _, e := range r.events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

func (r *recorder) warnings() string {
	var lines []string
	for _, w := range eventsOf[segpull.Warning](r) {
		lines = append(lines, w.Message)
	}
	return strings.Join(lines, "\n")
}

// wantCode checks an error's exit code, and that it is one line with words in
// it.
func wantCode(t *testing.T, err error, code int, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error where exit code %d was due", code)
	}
	got := 1
	if coded, ok := errors.AsType[segpull.ExitError](err); ok {
		got = coded.ExitCode()
	}
	if got != code {
		t.Errorf("exit code %d instead of %d: %v", got, code, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of several lines: %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// wantFiles checks what a folder holds.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, not %q", dir, got, want)
	}
}
