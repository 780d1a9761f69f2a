package registry

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxSkip is the most bytes to read and drop before the wanted ones.
	maxSkip = 1 << 20
	// sniffed is the number of bytes that show the type of a body: the first header
	// of a tar file, whose magic number (POSIX.1-2017, pax) is in its middle.
	sniffed    = 512
	tarMagic   = "ustar"
	tarMagicAt = 257
)

// errPart is the error of an answer to a range that does not say where its bytes belong.
var errPart = fmt.Errorf("%w: the answer to a range is unusable", errMismatch)

// newStream makes a stream of resp, the answer to a request for the bytes
// [start, end) of b, or for all of b. It uses bytes only where resp says where
// they belong.
func newStream(resp *http.Response, b ocispec.Descriptor, start, end int64) (*Stream, error) {
	if resp.StatusCode == http.StatusOK && (resp.ContentLength == b.Size || !isPart(resp, start)) {
		return newWhole(resp, b)
	}
	return newPart(resp, b.Size, start, end)
}

// isPart reports whether a 200 says that it is a part with the byte at start.
func isPart(resp *http.Response, start int64) bool {
	from, to, _, ok := parseContentRange(resp.Header.Get("Content-Range"))
	return ok && from <= start && start < to && resp.ContentLength == to-from
}

// newPart takes the bytes of [start, end) from a 206, which may have fewer or more
// (RFC 9110, section 15.3.7).
func newPart(resp *http.Response, size, start, end int64) (*Stream, error) {
	given := resp.Header.Get("Content-Range")
	from, to, total, ok := parseContentRange(given)
	switch n := resp.ContentLength; {
	case !ok:
		return nil, fmt.Errorf("%w: Content-Range is %q, the request was for bytes %d-%d/%d", errPart, given, start, end-1, size)
	case total >= 0 && total != size:
		return nil, fmt.Errorf("%w: Content-Range is %q, and the blob has %d bytes", errPart, given, size)
	case from > start || to <= start || start-from > maxSkip:
		return nil, fmt.Errorf("%w: Content-Range is %q, the request was for bytes %d-%d", errPart, given, start, end-1)
	case n >= 0 && n != to-from:
		return nil, fmt.Errorf("%w: Content-Length %d with Content-Range %q", errPart, n, given)
	case (n < 0 || total < 0) && len(encodings(resp.Header)) > 0:
		return nil, fmt.Errorf("%w: Content-Encoding %q", errPart, resp.Header.Get("Content-Encoding"))
	}
	if _, err := io.CopyN(io.Discard, resp.Body, start-from); err != nil {
		return nil, err
	}
	end = min(end, to)
	return &Stream{Body: &exactBody{ReadCloser: resp.Body, left: end - start}, Start: start, End: end}, nil
}

// newWhole takes a 200 as the whole blob, unchanged or decoded.
func newWhole(resp *http.Response, b ocispec.Descriptor) (*Stream, error) {
	body := &exactBody{ReadCloser: resp.Body, left: b.Size, size: b.Size, exact: resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0}
	if resp.ContentLength != b.Size {
		if isHTML(resp.Header) {
			return nil, webPage(resp)
		}
		raw := bufio.NewReaderSize(resp.Body, 32<<10)
		decoded, err := decode(resp, raw, b)
		if err != nil {
			return nil, err
		}
		body.ReadCloser = readCloser{decoded, resp.Body}
	}
	return &Stream{Body: body, Start: 0, End: b.Size}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// exactBody has left bytes, no more, and fewer only with an error.
type exactBody struct {
	io.ReadCloser
	left  int64
	size  int64 // of the blob, if the body is all of it
	exact bool  // the sender marks the end of the body; it is not that of the connection
}

func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, io.EOF
	case err == io.EOF && b.exact && b.size > 0:
		return n, &sizeError{got: b.size - b.left, want: b.size}
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// sizeError says that a source has another size of a blob than the manifest.
type sizeError struct{ got, want int64 }

func (e *sizeError) Error() string {
	return fmt.Sprintf("the source says that the blob has %d bytes, the manifest %d", e.got, e.want)
}

// Mismatch returns true.
func (e *sizeError) Mismatch() bool { return true }

// Is gives it the class of errors of a source with another blob.
func (e *sizeError) Is(target error) bool { return target == errMismatch }

// decode returns the bytes of blob b from raw, the body of resp: unchanged, or decoded
// if the decoded bytes look like b.
func decode(resp *http.Response, raw *bufio.Reader, b ocispec.Descriptor) (io.Reader, error) {
	known := resp.ContentLength >= 0 // and it is not the blob's
	head, err := raw.Peek(sniffed)
	if err != nil && err != io.EOF && !known {
		return nil, err
	}
	if decoder := decoderOf(resp.Header, head, b.MediaType, known); decoder != nil {
		return decoder(raw)
	}
	if known {
		return nil, &sizeError{got: resp.ContentLength, want: b.Size}
	}
	return raw, nil
}

// decoderOf chooses the decoder of a body that begins with head; nil means none.
// Labels are often wrong, so the decoded bytes have to look like the blob. A body
// that looks like the blob and has its size needs no decoder.
func decoderOf(header http.Header, head []byte, mediaType string, wrongLength bool) decoder {
	labels := encodings(header)
	decoder := decoderFor(labels, head)
	if decoder == nil || len(labels) == 0 && !hasMagic(mediaType) {
		return nil
	}
	inner, err := decoder(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	decoded := make([]byte, sniffed)
	n, _ := io.ReadFull(inner, decoded) // fails where head ends, perhaps in its first block
	looksEncoded := !looksLike(head, mediaType)
	if looksEncoded && n == 0 || (looksEncoded || wrongLength || hasMagic(mediaType)) && n > 0 && looksLike(decoded[:n], mediaType) {
		return decoder
	}
	return nil
}

// magics are the first bytes of contents, by a part of their media types.
var magics = []struct {
	word  string
	bytes []byte
}{
	{"gzip", []byte{0x1f, 0x8b}},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}},
	{"json", []byte("{")},
}

// hasMagic reports whether contents of a media type begin with known bytes.
func hasMagic(mediaType string) bool { return magicOf(mediaType) != nil }

func magicOf(mediaType string) []byte {
	for _, m := range magics {
		if strings.Contains(mediaType, m.word) {
			return m.bytes
		}
	}
	return nil
}

// looksLike reports whether content may be of a media type.
func looksLike(content []byte, mediaType string) bool {
	if strings.HasSuffix(mediaType, ".tar") && len(content) >= sniffed {
		return bytes.Equal(content[tarMagicAt:tarMagicAt+len(tarMagic)], []byte(tarMagic))
	}
	return bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), magicOf(mediaType))
}

// decoder decodes one encoding.
type decoder = func(io.Reader) (io.Reader, error)

var decoders = map[string]decoder{
	"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"x-gzip":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	},
	"aws-chunked": func(r io.Reader) (io.Reader, error) { return httputil.NewChunkedReader(r), nil }, // whose extensions are like S3's signatures
}

// maxWindow is the largest window of a zstd stream, in bytes (RFC 8878, section 3.1.1.1.2).
const maxWindow = 8 << 20

// encodings returns the labels of Content-Encoding in the order in which the
// encodings were applied.
func encodings(header http.Header) []string {
	var all []string
	for _, field := range header.Values("Content-Encoding") {
		for label := range strings.SplitSeq(strings.ToLower(field), ",") {
			if label = strings.TrimSpace(label); decoders[label] != nil {
				all = append(all, label)
			}
		}
	}
	return all
}

// mostLabels is the most encodings to decode: one, and aws-chunked, which S3 may have
// left. Each takes memory.
const mostLabels = 2

// decoderFor returns the decoder for the labels or, without labels, for the encoding
// that the content shows. It returns nil if there is no encoding, or too many.
func decoderFor(labels []string, head []byte) decoder {
	if len(labels) > mostLabels {
		return nil
	}
	if len(labels) == 0 {
		for _, m := range magics {
			if decoders[m.word] != nil && bytes.HasPrefix(head, m.bytes) {
				return decoders[m.word]
			}
		}
		return nil
	}
	return func(r io.Reader) (io.Reader, error) {
		var err error
		for _, label := range slices.Backward(labels) {
			if r, err = decoders[label](r); err != nil {
				return nil, errors.Join(errMismatch, err)
			}
		}
		return r, nil
	}
}
