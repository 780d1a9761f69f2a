package segpull

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

const garbled = 1 << 20 // where the test's layers are

func TestFlaw(t *testing.T) {
	layer := func(c registrytest.Compression) []byte {
		return registrytest.NewImage(registrytest.ImageOptions{Compression: c, Layers: []int64{2 << 20}}).Layers[0].Bytes()
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		blob        []byte
		from, until int64 // where the flaw is to be found
	}{
		"a layer":                           {layer(registrytest.Gzip), flawless, flawless},
		"one of zstd":                       {layer(registrytest.Zstd), flawless, flawless},
		"a bare tar":                        {layer(registrytest.Uncompressed), flawless, flawless},
		"a layer with garbage":              {garble(layer(registrytest.Gzip), 200<<10), garbled, garbled + 64<<10},
		"one of zstd with garbage":          {garble(layer(registrytest.Zstd), 200<<10), garbled, garbled + 128<<10},
		"a layer with one wrong byte":       {garble(layer(registrytest.Gzip), 1), 2<<20 - 64, 2 << 20},
		"a layer that ends early":           {layer(registrytest.Gzip)[:garbled], garbled, garbled},
		"what is no layer":                  {bytes.Repeat([]byte("{}"), 1000), 0, 512},
		"nothing":                           {nil, flawless, flawless},
		"zeros in abundance, and a bad end": {append(bomb.Bytes()[:bomb.Len()-8], make([]byte, 8)...), flawless, flawless},
	} {
		at, err := flaw(t.Context(), whole{io.NewSectionReader(bytes.NewReader(tc.blob), 0, int64(len(tc.blob)))}, int64(len(tc.blob)), int64(len(tc.blob)))
		if err != nil || at < tc.from || at > tc.until {
			t.Errorf("%s: a flaw at %d, %v; want one in [%d,%d]", what, at, err, tc.from, tc.until)
		}
	}
}

func TestFlawEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := flaw(ctx, whole{io.NewSectionReader(zeros{}, 0, 1<<40)}, 1<<40, 1<<40); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// garble inverts n bytes.
func garble(p []byte, n int) []byte {
	for i := range n {
		p[garbled+i] ^= 0xff
	}
	return p
}

// zeros is an endless file of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (z zeros) ReadAt(p []byte, _ int64) (int, error) { return z.Read(p) }
