package registrytest

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestEncodedIsWhatItsLabelSays(t *testing.T) {
	unpack := func(open func(io.Reader) (io.Reader, error)) func([]byte) ([]byte, error) {
		return func(p []byte) ([]byte, error) {
			r, err := open(bytes.NewReader(p))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		}
	}
	unzip := unpack(func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	tests := map[string]func([]byte) ([]byte, error){
		"gzip":        unzip,
		"x-gzip":      unzip,
		"deflate":     unpack(func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }),
		"zstd":        unpack(func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) }),
		"aws-chunked": unframe,
	}
	b := RandomBlob(1, 100_000)
	reg, address := serveBlob(t, b)
	for label, decode := range tests {
		reg.Misbehave(Encoded(label, true))
		a := get(t, address, "Accept-Encoding: identity")
		if got, err := decode(a.Body); err != nil || !bytes.Equal(got, b.Bytes()) || a.Header.Get("Content-Encoding") != label {
			t.Errorf("%s: got %d bytes, %v, headers %v", label, len(got), err, a.Header)
		}
		reg.Misbehave(Encoded(label, false))
		a = get(t, address, "Accept-Encoding: identity")
		wantBody(t, a, 200, b.Bytes())
		if a.Header.Get("Content-Encoding") != label || a.Header.Get("Content-Length") != "100000" {
			t.Errorf("%s as a label alone: headers are %v", label, a.Header)
		}
	}
}

var frame = regexp.MustCompile(`^([0-9a-f]+);chunk-signature=[0-9a-f]{64}$`)

// unframe decodes aws-chunked.
func unframe(p []byte) ([]byte, error) {
	var content []byte
	for {
		head, rest, _ := bytes.Cut(p, []byte("\r\n"))
		m := frame.FindSubmatch(head)
		if m == nil {
			return nil, fmt.Errorf("%q is not the head of a frame", head)
		}
		size, err := strconv.ParseInt(string(m[1]), 16, 32)
		if err != nil || int(size)+2 > len(rest) || string(rest[size:size+2]) != "\r\n" {
			return nil, fmt.Errorf("a frame of %d bytes does not end: %v", size, err)
		}
		if content, p = append(content, rest[:size]...), rest[size+2:]; size == 0 {
			return content, nil
		}
	}
}

func TestEncodedNeedsAnEncoder(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a label without an encoder was taken")
		}
	}()
	Encoded("br", true)
}
