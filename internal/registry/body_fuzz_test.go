package registry

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const fuzzSize = 600 // more than is sniffed

func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(content, nil)
}

// FuzzStream answers a client with anything. A stream is within the blob, and
// yields as many bytes as it says, or an error.
func FuzzStream(f *testing.F) {
	blob := content[:fuzzSize]
	f.Add(200, "", "", "application/vnd.oci.image.layer.v1.tar+gzip", int64(fuzzSize), blob, int64(0), int64(fuzzSize))
	f.Add(200, "", "gzip", "application/vnd.oci.image.config.v1+json", int64(-1), zipped(f, blob), int64(16), int64(32))
	f.Add(200, "", "zstd", "application/vnd.oci.image.layer.v1.tar+gzip", int64(-1), zstandard(f, zipped(f, blob)), int64(16), int64(32))
	f.Add(200, "", "aws-chunked, gzip", "", int64(-1), []byte("3;chunk-signature=x\r\nabc\r\n0\r\n\r\n"), int64(0), int64(1))
	f.Add(200, "bytes 16-31/*", "", "", int64(16), blob[16:32], int64(16), int64(32))
	f.Add(206, "bytes 0-599/600", "", "", int64(fuzzSize), blob, int64(100), int64(200))
	f.Add(206, "bytes 10-4611686018427387902/*", "deflate", "", int64(-1), blob, int64(100), int64(200))
	f.Fuzz(func(t *testing.T, status int, contentRange, encoding, mediaType string, length int64, body []byte, start, end int64) {
		if start < 0 || start >= end || end > fuzzSize {
			t.Skip()
		}
		resp := &http.Response{
			StatusCode:    status,
			Header:        http.Header{"Content-Range": {contentRange}, "Content-Encoding": {encoding}},
			ContentLength: max(length, -1),
			Body:          io.NopCloser(bytes.NewReader(body)),
		}
		s, err := newStream(resp, ocispec.Descriptor{Size: fuzzSize, MediaType: mediaType}, start, end)
		if err != nil {
			return
		}
		if s.Start < 0 || s.End <= s.Start || s.End > fuzzSize || s.Start != start && (s.Start != 0 || s.End != fuzzSize) {
			t.Fatalf("asked for %d-%d, got %d-%d", start, end, s.Start, s.End)
		}
		got, err := io.ReadAll(s.Body)
		if want := s.End - s.Start; int64(len(got)) > want || err == nil && int64(len(got)) < want {
			t.Errorf("%d bytes of %d, %v", len(got), want, err)
		}
	})
}

// A header has room for thousands of labels, and each decoder takes memory.
func TestLabelsAreBounded(t *testing.T) {
	gz := zipped(t, []byte(strings.Repeat("{}", 50)))
	header := http.Header{"Content-Encoding": {"gzip, gzip, gzip"}}
	if d := decoderFor(encodings(header), nil); d != nil {
		t.Error("three are undone")
	}
	if got := decodeManifest(http.Header{"Content-Encoding": {"gzip", "gzip"}}, zipped(t, gz)); len(got) != 100 {
		t.Errorf("of two, %q", got)
	}
}
