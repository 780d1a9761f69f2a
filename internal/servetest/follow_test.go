package servetest

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/pulltest"
)

// Another process fetches a blob. Clients of the server get its bytes as they arrive, and
// the last ones when they are right, whatever becomes of that process. One that got bytes
// which were wrong is cut off.
func TestABlobThatAnotherProcessFetches(t *testing.T) {
	t.Parallel()
	const half = 2 * mib
	f := start(t, 1, pulltest.ImageOf(1, 2*half), nil)
	layer := f.img.Layers[0]
	right := layer.Bytes()
	wrong := slices.Clone(right)
	wrong[100] ^= 1
	commit := func(p *cache.Part) error {
		if err := p.Store().Write(0, half, right[half:], 0); err != nil {
			return err
		}
		return p.Commit(t.Context())
	}
	repair := func(p *cache.Part) error { return p.Store().Blob(0).Replace(0, right[:half], 0) }
	for _, test := range []struct {
		about    string
		arrived  []byte
		end      []func(*cache.Part) error // of the other process, before it closes the part
		most     int64                     // bytes that the mirror sends then
		complete bool
	}{
		{"it has all", right, []func(*cache.Part) error{commit}, 0, true},
		{"it is killed", right, nil, half, true},
		{"it repairs the blob, and has all", wrong, []func(*cache.Part) error{repair, commit}, 0, false},
		{"it repairs the blob, and is killed", wrong, []func(*cache.Part) error{repair}, half, false},
		{"it is killed before it repairs the blob", wrong, nil, 2 * half, false},
		{"it discards the blob", right, []func(*cache.Part) error{(*cache.Part).Discard}, 2 * half, true},
	} {
		t.Run(test.about, func(t *testing.T) {
			f.dir = t.TempDir()
			f.restart(t, noRace)
			f.learn(t)
			part, err := cache.New(f.dir, cache.DefaultLimit).Begin(t.Context(), layer.Descriptor, []string{"mirror"}, time.Minute)
			pulltest.Must(t, err)
			defer part.Close()
			pulltest.Must(t, part.Store().Write(0, 0, test.arrived[:half], 0))

			before := f.Served()
			closed := f.get(t, blobPath(layer), "Range", "bytes=1000-1999")
			whole, rest := f.open(t, "GET", blobPath(layer)), f.open(t, "GET", blobPath(layer), "Range", "bytes=10-")
			defer whole.Body.Close()
			defer rest.Body.Close()
			first := make([]byte, half)
			if _, err := io.ReadFull(whole.Body, first); err != nil || !bytes.Equal(first, test.arrived[:half]) || !bytes.Equal(closed.body, right[1000:2000]) {
				t.Errorf("the bytes that had arrived: %v", err)
			}
			if _, err := io.ReadFull(rest.Body, first[10:]); err != nil || !bytes.Equal(first, test.arrived[:half]) {
				t.Errorf("the bytes of a range that had arrived: %v", err)
			}
			if n := f.Served(); n > before {
				t.Errorf("the mirror was asked for %d bytes", n-before)
			}
			for _, do := range test.end {
				pulltest.Must(t, do(part))
			}
			pulltest.Must(t, part.Close())
			for about, body := range map[string]io.Reader{"the blob": whole.Body, "a range": rest.Body} {
				last, err := io.ReadAll(body)
				if complete := err == nil && bytes.Equal(last, right[half:]); complete != test.complete || err == nil && !complete {
					t.Errorf("%s: complete: %t, %d bytes more, %v", about, complete, len(last), err)
				}
			}
			if a := f.get(t, blobPath(layer)); !bytes.Equal(a.body, right) {
				t.Error("wrong bytes afterwards")
			}
			if n := f.Served() - before; float64(n) > 1.1*float64(test.most) {
				t.Errorf("the mirror sent %d bytes, want at most %d", n, test.most)
			}
		})
	}
}
