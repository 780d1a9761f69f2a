package registrytest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/segpull/segpull/internal/registrytest"
)

func Example() {
	reg := registrytest.New()
	img := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{3 << 20}, Seed: 1})
	reg.Push("library/ubuntu", "22.04", img)

	mirror := reg.Mirror()
	mirror.Misbehave(registrytest.Truncate(2 << 20).Times(1))
	server := httptest.NewServer(mirror)
	defer server.Close()

	layer := server.URL + "/v2/library/ubuntu/blobs/" + img.Layers[0].Digest.String()
	for range 2 {
		resp, err := server.Client().Get(layer)
		if err != nil {
			fmt.Println(err)
			return
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(n, err)
	}
	fmt.Println(mirror.Stats().Bytes, mirror.Stats().Statuses[http.StatusOK])
	// Output:
	// 2097152 unexpected EOF
	// 3145728 <nil>
	// 5242880 2
}
