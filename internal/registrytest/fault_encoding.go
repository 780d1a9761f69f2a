package registrytest

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// GzipEncoding compresses bodies, whatever Accept-Encoding says.
func GzipEncoding() Fault { return Encoded("gzip", true) }

// Encoded labels answers Content-Encoding: label, whatever Accept-Encoding
// says. Without compress the body stays as it is: web servers label .tar.gz
// files so (moby/moby#17595, moby/moby#27642). With compress the body is
// encoded as the label says, for gzip, x-gzip, deflate, zstd and aws-chunked.
// It panics on other labels.
func Encoded(label string, compress bool) Fault {
	if !compress {
		return Header("Content-Encoding", label)
	}
	encoder(label, io.Discard) // panics early
	return through(func(w http.ResponseWriter, _ *http.Request) *hooked {
		enc := encoder(label, w)
		return &hooked{
			header: func(status int, h http.Header) {
				dropLength(status, h)
				h.Set("Content-Encoding", label)
			},
			body: enc.Write,
			end:  func() { _ = enc.Close() },
		}
	})
}

func encoder(label string, w io.Writer) io.WriteCloser {
	switch label {
	case "gzip", "x-gzip":
		return gzip.NewWriter(w)
	case "deflate":
		return zlib.NewWriter(w)
	case "zstd":
		enc, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic("registrytest: " + err.Error())
		}
		return enc
	case "aws-chunked":
		return awsChunked{w}
	}
	panic("registrytest: no encoder for " + label)
}

// awsChunked frames each write as a signed upload to S3 is framed. Stores that
// do not know the coding keep the frames and serve them.
type awsChunked struct{ w io.Writer }

func (c awsChunked) Write(p []byte) (int, error) {
	if len(p) == 0 { // a frame without bytes ends the body
		return 0, nil
	}
	if _, err := c.w.Write(awsFrame(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c awsChunked) Close() error {
	_, err := c.w.Write(awsFrame(nil))
	return err
}

func awsFrame(p []byte) []byte {
	frame := fmt.Appendf(nil, "%x;chunk-signature=%s\r\n", len(p), strings.Repeat("0123456789abcdef", 4))
	return append(append(frame, p...), "\r\n"...)
}
