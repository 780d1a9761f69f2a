package corrupt

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	rt "github.com/segpull/segpull/internal/registrytest"
)

// TestKinds fetches every layer ten times from a mirror of each kind.
func TestKinds(t *testing.T) {
	sizes := []int64{mib, mib / 2}
	const repository = "library/bench"
	img := rt.NewImage(rt.ImageOptions{Layers: sizes, Seed: 1})
	other := rt.NewImage(rt.ImageOptions{Layers: sizes, Seed: 2})
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := rt.New()
			s.Push(repository, "1", img)
			url := s.Start(t) + "/v2/" + repository + "/blobs/"
			s.Misbehave(k.faults(img, other)...)
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

func TestKindsByName(t *testing.T) {
	chosen, err := Kinds("bits", "all")
	if err != nil || len(chosen) != 2 || chosen[0].name != "bits" {
		t.Errorf("Kinds = %v, %v", chosen, err)
	}
	if _, err := Kinds("nothing"); err == nil {
		t.Error("nothing is a kind")
	}
}

func TestCasesDifferInRatesAndOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases(kinds[0], []int64{mib}) {
		seen[fmt.Sprint(c.Mirrors[0].Name, c.Mirrors[1].Rate)] = true
	}
	if len(seen) != 4 {
		t.Errorf("the cases are %v, want four", seen)
	}
}
