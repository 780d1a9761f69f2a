package serve

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"syscall"
	"time"
)

const (
	// writeTimeout is how long a client may take to receive what one write sends.
	writeTimeout = 2 * time.Minute
	// turn is how many bytes of a file are sent before other answers have their turn, so that
	// each of many clients has its first bytes before one has all. 32 KiB are faster for one
	// client, but 200 clients then wait as long as without turns.
	turn = 20 << 10
)

// response is an answer whose client has to receive bytes from time to time. It counts
// them.
type response struct {
	http.ResponseWriter
	control   *http.ResponseController
	status    int // 0: not written yet
	bytes     int64
	began     time.Time
	firstByte time.Time // zero: none was written
	reset     bool      // the client has closed the connection
	progress  func()    // called for each write; nil: nothing
	// take waits until the client may get some of n bytes, at least one. nil: no limit.
	take func(n int64) (int64, error)
}

func newResponse(w http.ResponseWriter) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w), began: time.Now()}
}

// extend gives the client time for the next bytes. Not every writer has deadlines.
func (w *response) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// end lifts the deadline: the connection may be used again.
func (w *response) end() { _ = w.control.SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	w.status = status
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.progress != nil {
		w.progress()
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	sent := 0
	for {
		part, err := w.allowed(int64(len(p) - sent))
		if err != nil {
			return sent, err
		}
		n, err := w.ResponseWriter.Write(p[sent : sent+int(part)])
		w.wrote(int64(n), err)
		if sent += n; err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// allowed waits until the client may get some of n bytes, and gives it time for them.
func (w *response) allowed(n int64) (int64, error) {
	if w.take != nil && n > 0 {
		var err error
		if n, err = w.take(n); err != nil {
			return 0, err
		}
	}
	w.extend()
	return n, nil
}

func (w *response) wrote(n int64, err error) {
	if w.bytes == 0 && n > 0 {
		w.firstByte = time.Now()
	}
	w.bytes += n
	w.reset = w.reset || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ReadFrom implements io.ReaderFrom, so that the kernel sends files.
func (w *response) ReadFrom(src io.Reader) (n int64, err error) {
	from, limited := src.(*io.LimitedReader)
	if !limited {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	for from.N > 0 && err == nil {
		var most int64
		if most, err = w.allowed(min(from.N, turn)); err != nil {
			break
		}
		part := &io.LimitedReader{R: from.R, N: most}
		var sent int64
		sent, err = io.Copy(w.ResponseWriter, part)
		w.wrote(sent, err)
		if sent == 0 {
			break
		}
		runtime.Gosched()
		from.N -= sent
		n += sent
	}
	return n, err
}

// flush sends what was written: a reader waits for the next bytes.
func (w *response) flush() { _ = w.control.Flush() }

// flushed is a response that sends each block at once.
type flushed struct{ *response }

func (w flushed) Write(p []byte) (int, error) {
	n, err := w.response.Write(p)
	w.flush()
	return n, err
}
