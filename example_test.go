package segpull_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/registrytest"
)

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
