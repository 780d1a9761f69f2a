package segpull_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

// progressPrinter is an Observer that prints what a user should know.
type progressPrinter struct{}

func (progressPrinter) Observe(e segpull.Event) {
	switch e := e.(type) {
	case segpull.Resolved:
		fmt.Println(e.Reference, "is for", e.Platform)
	case segpull.Warning:
		fmt.Println("warning:", e.Message)
	case segpull.Finished:
		fmt.Println(e.Kind(), e.UpToDate)
	}
}

func ExampleObserver() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64"}))
	server := httptest.NewServer(registry)
	defer server.Close()

	_, err := segpull.Pull(context.Background(), segpull.Options{
		Mirrors:  []string{server.URL},
		Platform: "linux/arm64",
		Output:   "-",
		Stdout:   io.Discard,
		Observer: progressPrinter{},
	}, "registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	// Output:
	// registry.example/team/app:1 is for linux/arm64
	// finished false
}

// A limit can change while pulls run, and several pulls can share it.
func ExampleNewLimits() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}}))
	server := httptest.NewServer(registry)
	defer server.Close()

	limits := segpull.NewLimits(500 << 10)               // 500 KiB/s
	limits.SetMirror(server.Listener.Addr().String(), 0) // no limit for this mirror alone
	time.AfterFunc(100*time.Millisecond, func() { limits.Set(50 << 20) })
	results, err := segpull.Pull(context.Background(), segpull.Options{
		Mirrors: []string{server.URL},
		Output:  "-",
		Stdout:  io.Discard,
		Limits:  limits,
	}, "registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].Fetched > 1<<20, limits.Rate())
	// Output: true 52428800
}

// A pull from two mirrors into an archive.
func ExamplePull() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}}))
	one, two := httptest.NewServer(registry), httptest.NewServer(registry.Mirror())
	defer one.Close()
	defer two.Close()
	dir, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	results, err := segpull.Pull(context.Background(), segpull.Options{
		Mirrors: []string{one.URL, two.URL},
		Output:  filepath.Join(dir, "app.tar"),
	}, "registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].Reference, filepath.Base(results[0].Path))

	// Errors have a class.
	_, err = segpull.Pull(context.Background(), segpull.Options{Mirrors: []string{one.URL}, Output: dir + "/"}, "registry.example/team/app:2")
	fmt.Println(errors.Is(err, segpull.ErrNotFound))
	// Output:
	// registry.example/team/app:1 app.tar
	// true
}

func ExampleInspect() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewIndex(
		registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64", Layers: []int64{1 << 20}}),
		registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/arm64", Layers: []int64{1 << 20}})))
	server := httptest.NewServer(registry)
	defer server.Close()

	i, err := segpull.Inspect(context.Background(), "registry.example/team/app:1", segpull.Options{
		Mirrors:  []string{server.URL},
		Platform: "linux/arm64",
	})
	if err != nil {
		panic(err)
	}
	for _, p := range i.Platforms {
		fmt.Println(p.Platform)
	}
	fmt.Println(i.Platform, len(i.Layers), i.ToFetch == i.Size)
	// Output:
	// linux/amd64
	// linux/arm64
	// linux/arm64 1 true
}

// A batch goes on after an error.
func ExampleBatchError() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{}))
	server := httptest.NewServer(registry)
	defer server.Close()
	dir, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	results, err := segpull.Pull(context.Background(), segpull.Options{
		Mirrors: []string{server.URL},
		Output:  dir,
		Batch:   true,
	}, "registry.example/team/missing:1", "registry.example/team/app:1")
	fmt.Println(len(results), err)
	if batch, ok := errors.AsType[*segpull.BatchError](err); ok {
		fmt.Println(batch.Failed[0].Reference, errors.Is(err, segpull.ErrNotFound))
	}
	// Output:
	// 1 1 of 2 images failed: registry.example/team/missing:1
	// registry.example/team/missing:1 true
}

// Two pulls share a cache: the second, in another format, fetches no blob.
func ExamplePull_cache() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}}))
	server := httptest.NewServer(registry)
	defer server.Close()
	dir, err := os.MkdirTemp("", "segpull")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	for _, format := range []string{"docker-archive", "oci"} {
		results, err := segpull.Pull(context.Background(), segpull.Options{
			Mirrors:  []string{server.URL},
			Format:   format,
			Output:   filepath.Join(dir, format),
			CacheDir: filepath.Join(dir, "cache"),
		}, "registry.example/team/app:1")
		if err != nil {
			panic(err)
		}
		fmt.Println(results[0].Fetched > 0)
	}
	// Output:
	// true
	// false
}

func ExampleNewServer() {
	registry := registrytest.New()
	registry.Push("library/app", "1", registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64"}))
	mirror := httptest.NewServer(registry)
	defer mirror.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	server, err := segpull.NewServer(segpull.ServerOptions{Mirrors: []string{mirror.URL}, CacheDir: filepath.Join(dir, "cache")})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	listening := httptest.NewServer(server) // or an http.Server of your own
	defer listening.Close()

	resp, err := http.Get(listening.URL + "/v2/library/app/manifests/1")
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"))
	// Output: 200 OK application/vnd.oci.image.manifest.v1+json
}

// An image goes from a mirror into a registry.
func ExamplePull_to() {
	image := registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64"})
	mirror, target := registrytest.New(), registrytest.New()
	mirror.Push("team/app", "1", image)
	from, to := httptest.NewServer(mirror), httptest.NewServer(target)
	defer from.Close()
	defer to.Close()
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	results, err := segpull.Pull(context.Background(), segpull.Options{
		Mirrors:  []string{from.URL},
		Platform: "linux/amd64",
		To:       to.Listener.Addr().String() + "/mirror/",
		CacheDir: dir,
	}, "registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	pushed := results[0].Delivered[0]
	fmt.Println(pushed.Name == pushed.To+"/mirror/team/app:1", pushed.Digest == image.Manifest.Digest.String())
	// Output: true true
}

// One of two mirrors does not answer.
func ExampleTestMirrors() {
	registry := registrytest.New()
	registry.Push("library/app", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{1 << 20}}))
	good := httptest.NewServer(registry)
	defer good.Close()
	gone := httptest.NewServer(registry)
	gone.Close()
	opts := segpull.MirrorsOptions{Mirrors: []string{good.URL, gone.URL}, Authfile: os.DevNull}

	list, err := segpull.Mirrors(opts, "docker.io")
	if err != nil {
		panic(err)
	}
	fmt.Println(len(list), list[0].URL == good.URL, list[0].From)
	checks, err := segpull.TestMirrors(context.Background(), opts, "app:1")
	if err != nil {
		panic(err)
	}
	for _, c := range checks {
		fmt.Println(c.Reachable, c.Usable, c.Agrees, c.Auth)
	}
	// Output:
	// 2 true flag
	// true true true none
	// false false false none
}
