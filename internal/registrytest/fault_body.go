package registrytest

import (
	"bytes"
	"net/http"
)

// Rewrite changes the bodies of blobs: p has the blob's bytes from offset. Several
// goroutines call the function at the same time.
func Rewrite(rewrite func(p []byte, offset int64)) Fault {
	return through(func(w http.ResponseWriter, r *http.Request) *hooked {
		ex := exchangeOf(r)
		var offset int64
		var blob bool
		return &hooked{
			header: func(status int, _ http.Header) {
				blob = status == http.StatusOK || status == http.StatusPartialContent
				if status == http.StatusPartialContent {
					offset = ex.offset
				}
			},
			body: func(p []byte) (int, error) {
				if !blob {
					return w.Write(p)
				}
				wrong := bytes.Clone(p)
				rewrite(wrong, offset)
				n, err := w.Write(wrong)
				offset += int64(n)
				return n, err
			},
		}
	})
}

// Flip inverts the bytes [start,end) of a blob.
func Flip(start, end int64) Fault {
	return Rewrite(func(p []byte, offset int64) {
		for i := max(start-offset, 0); i < min(end-offset, int64(len(p))); i++ {
			p[i] = ^p[i]
		}
	})
}

// Garbage sends noise in place of the bytes [start,end) of a blob.
func Garbage(start, end int64) Fault {
	stuff := newNoise(0x6a5ba6e)
	return Rewrite(func(p []byte, offset int64) {
		from, to := max(start-offset, 0), min(end-offset, int64(len(p)))
		if from < to {
			_, _ = stuff.ReadAt(p[from:to], offset+from)
		}
	})
}

// Impostor sends the bytes of another blob, with the size and the headers of the
// requested one.
func Impostor(other Blob) Fault {
	return Rewrite(func(p []byte, offset int64) {
		n, _ := other.ReadAt(p, offset)
		clear(p[n:])
	})
}
