package sources_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// newSet returns the sources that names stand for, without logins.
func newSet(names ...string) *sources.Set {
	logins := sources.NewLogins(os.DevNull, func(string) {})
	set, problems, err := sources.New(sources.Config{}, logins, names, sources.Images{Registry: "registry.example"})
	if err != nil {
		panic(err)
	}
	for _, problem := range problems {
		fmt.Println(problem)
	}
	return set
}

// A set of two mirrors resolves a tag, and each of them serves the layer.
func ExampleNew() {
	registry := registrytest.New()
	registry.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{100 << 10}}))
	one, two := httptest.NewServer(registry), httptest.NewServer(registry.Mirror())
	defer one.Close()
	defer two.Close()
	set := newSet(one.URL, two.URL)
	defer set.Close()

	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	img, err := image.Resolve(ctx, set, ref, image.DefaultPlatform())
	if err != nil {
		panic(err)
	}
	fmt.Println(set.Resolver(ref) == one.Listener.Addr().String())
	for _, source := range set.Sources() {
		body, start, end, err := source.Open(ctx, ref.Repository, img.Layers[0], 1<<10, 2<<10)
		if err != nil {
			panic(err)
		}
		n, err := io.Copy(io.Discard, body)
		body.Close()
		fmt.Println(start, end, n, err)
	}
	// Output:
	// true
	// 1024 2048 1024 <nil>
	// 1024 2048 1024 <nil>
}

func ExampleSet_Fetch() {
	registry := registrytest.New()
	img := registrytest.NewImage(registrytest.ImageOptions{})
	registry.Push("team/app", "1", img)
	server := httptest.NewServer(registry)
	defer server.Close()
	set := newSet(server.URL)
	defer set.Close()

	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	manifest, body, err := set.Fetch(ctx, ref, ocispec.Descriptor{}) // by tag
	fmt.Println(manifest.Digest == img.Manifest.Digest, int64(len(body)) == manifest.Size, err)
	body, err = set.Blob(ctx, ref, img.Config.Descriptor)
	fmt.Println(int64(len(body)) == img.Config.Size, err)
	// Output:
	// true true <nil>
	// true <nil>
}

// Mirrors may resolve a tag to different images, for example because one has not
// seen the latest push.
func ExampleSet_Disagreements() {
	current, outdated := registrytest.New(), registrytest.New()
	current.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Seed: 2}))
	outdated.Push("team/app", "1", registrytest.NewImage(registrytest.ImageOptions{Seed: 1}))
	one, two := httptest.NewServer(current), httptest.NewServer(outdated)
	defer one.Close()
	defer two.Close()
	set := newSet(one.URL, two.URL)
	defer set.Close()

	ref, err := image.ParseReference("registry.example/team/app:1")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	manifest, _, err := set.Fetch(ctx, ref, ocispec.Descriptor{})
	if err != nil {
		panic(err)
	}
	set.Disagreements(ctx, ref, manifest.Digest, func(d sources.Disagreement) {
		fmt.Println(d.Source == two.Listener.Addr().String(), d.Digest != manifest.Digest)
	})
	// Output: true true
}

func ExampleLoadConfig() {
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.toml")
	err = os.WriteFile(path, []byte(`
mirrors = ["office", "daocloud"]
limit-rate = "2M@08:00-18:00,unlimited"

[mirror.office]
url = "https://registry.office.example"
registries = ["docker.io"]
`), 0o600)
	if err != nil {
		panic(err)
	}
	config, err := sources.LoadConfig(path)
	if err != nil {
		panic(err)
	}
	fmt.Println(config.Mirrors, config.LimitRate, config.Mirror["office"].URL)
	// Output: [office daocloud] 2M@08:00-18:00,unlimited https://registry.office.example
}

// A file of containerd has two mirrors, of which one may not resolve tags.
func ExampleFindEngines() {
	dir, err := os.MkdirTemp("", "certs.d")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "docker.io"), 0o700); err != nil {
		panic(err)
	}
	err = os.WriteFile(filepath.Join(dir, "docker.io/hosts.toml"), []byte(`
[host."https://near.example"]
  capabilities = ["pull"]
[host."https://harbor.example/v2/hub"]
  override_path = true
`), 0o600)
	if err != nil {
		panic(err)
	}
	engines, err := sources.FindEngines(context.Background(), []string{"containerd:" + dir}, "")
	if err != nil {
		panic(err)
	}
	logins := sources.NewLogins(os.DevNull, func(string) {})
	set, _, err := sources.New(sources.Config{Engines: engines}, logins, nil, sources.Images{Registry: "docker.io"})
	if err != nil {
		panic(err)
	}
	defer set.Close()
	for _, s := range set.Sources() {
		fmt.Println(s.URL(), s.Place().From, s.Place().Line, s.ResolvesTags())
	}
	// Output:
	// https://near.example containerd 2 false
	// https://harbor.example/hub containerd 4 true
	// https://registry-1.docker.io registry 0 true
}

func ExampleTimetable() {
	var limit sources.Timetable
	if err := limit.UnmarshalText([]byte("2M@08:00-18:00,unlimited")); err != nil {
		panic(err)
	}
	rate, until := limit.At(time.Date(2026, 11, 26, 17, 30, 0, 0, time.Local))
	fmt.Println(rate, until.Format(time.TimeOnly))
	rate, _ = limit.At(until)
	fmt.Println(rate)
	fmt.Println(sources.Constant(1<<20), limit.Rates())
	// Output:
	// 2MiB/s 18:00:00
	// unlimited
	// 1MiB/s [2MiB/s unlimited]
}

func ExampleSize() {
	for _, text := range []string{"4096", "500K", "1.5MB", "4Mb"} {
		var size sources.Size
		err := size.UnmarshalText([]byte(text))
		fmt.Println(int64(size), size, err)
	}
	// Output:
	// 4096 4KiB <nil>
	// 512000 500KiB <nil>
	// 1500000 1500000 <nil>
	// 0 0 size "4Mb": unit "Mb" may mean bits; write bytes as 4096, 500K, 4MiB or 1.5MB
}

func ExampleHistory() {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mirrors.json")
	history := sources.History{"mirror.example": {Connections: 8, Rate: 1 << 20, Seen: time.Now()}}
	if err := history.Save(path); err != nil {
		panic(err)
	}
	record := sources.LoadHistory(path)["mirror.example"]
	fmt.Println(record.Connections, record.Rate, record.Corrupt.IsZero())
	// Output: 8 1048576 true
}

// A mirror that was silent in an earlier pull delays this one less.
func ExampleSet_Recall() {
	set := newSet("http://mirror.example")
	defer set.Close()
	source := set.Sources()[0]
	set.Recall(sources.History{source.Name(): {Silent: time.Now().Add(-time.Minute)}})
	fmt.Println(source.Name(), source.Silent())
	// Output: mirror.example true
}

// A registry takes a blob once.
func ExampleNewTarget() {
	server := httptest.NewServer(registrytest.New())
	defer server.Close()
	logins := sources.NewLogins(os.DevNull, func(string) {})
	target, err := sources.NewTarget(sources.Config{}, logins, server.Listener.Addr().String(), func(string) {})
	if err != nil {
		panic(err)
	}
	defer target.Close()

	ctx, blob := context.Background(), registrytest.NewBlob("", []byte("a layer"))
	fmt.Println(target.Has(ctx, "team/app", blob.Digest))
	_, err = target.Upload(ctx, "team/app", "", blob.Descriptor, func() io.Reader { return io.NewSectionReader(blob, 0, blob.Size) })
	fmt.Println(err)
	fmt.Println(target.Has(ctx, "team/app", blob.Digest))
	// Output:
	// false <nil>
	// <nil>
	// true <nil>
}
