package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// TestLies has a mirror tell each lie, and asks it ten times for every layer.
func TestLies(t *testing.T) {
	sizes := []int64{mib, 512 * kib}
	img, other := imageOf(sizes, 1), imageOf(sizes, 2)
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			s := rt.New()
			s.Push(benchRepository, benchTag, img)
			url := s.Start(t) + "/v2/" + benchRepository + "/blobs/"
			s.Misbehave(l.of(img, other)...)
			wrong, answers := 0, 0
			for range 10 {
				for _, layer := range img.Layers {
					answers++
					if p := get(t, url+layer.Digest.String()); len(p) != int(layer.Size) {
						t.Fatalf("%d bytes, want %d", len(p), layer.Size)
					} else if !bytes.Equal(p, layer.Bytes()) {
						wrong++
					}
				}
			}
			if wrong == 0 {
				t.Errorf("none of %d answers is wrong", answers)
			}
		})
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
