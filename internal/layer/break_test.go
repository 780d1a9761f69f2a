package layer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/segpull/segpull/internal/registrytest"
)

const garbled = 1 << 20 // where the test's layers are

func TestFindBreak(t *testing.T) {
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
		from, until int64 // where the break is to be found
	}{
		"a layer":                           {layer(registrytest.Gzip), Unbroken, Unbroken},
		"one of zstd":                       {layer(registrytest.Zstd), Unbroken, Unbroken},
		"a bare tar":                        {layer(registrytest.Uncompressed), Unbroken, Unbroken},
		"a layer with garbage":              {garble(layer(registrytest.Gzip), 200<<10), garbled, garbled + 64<<10},
		"one of zstd with garbage":          {garble(layer(registrytest.Zstd), 200<<10), garbled, garbled + 128<<10},
		"a layer with one wrong byte":       {garble(layer(registrytest.Gzip), 1), 2<<20 - 64, 2 << 20},
		"a layer that ends early":           {layer(registrytest.Gzip)[:garbled], garbled, garbled},
		"what is no layer":                  {bytes.Repeat([]byte("{}"), 1000), 0, 512},
		"nothing":                           {nil, Unbroken, Unbroken},
		"zeros in abundance, and a bad end": {append(bomb.Bytes()[:bomb.Len()-8], make([]byte, 8)...), Unbroken, Unbroken},
	} {
		at, err := FindBreak(bytes.NewReader(tc.blob), int64(len(tc.blob)))
		if err != nil || at < tc.from || at > tc.until {
			t.Errorf("%s: a break at %d, %v; want one in [%d,%d]", what, at, err, tc.from, tc.until)
		}
	}
}

func TestFindBreakReturnsTheErrorOfItsReader(t *testing.T) {
	stop := errors.New("stop")
	content := registrytest.NewImage(registrytest.ImageOptions{Layers: []int64{2 << 20}}).Layers[0].Bytes()
	for _, tc := range []struct {
		read, want error
		at         int64
	}{
		{stop, stop, 0},
		{io.EOF, nil, Unbroken},
	} {
		r := io.MultiReader(bytes.NewReader(content[:garbled]), iotest.ErrReader(tc.read))
		if at, err := FindBreak(r, int64(len(content))); at != tc.at || err != tc.want {
			t.Errorf("after %v: %d, %v", tc.read, at, err)
		}
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
