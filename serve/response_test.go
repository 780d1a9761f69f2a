package serve

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// timed is a client's connection, which records the deadlines that writes had.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
	writes   []int // bytes
	late     bool  // a write had no deadline, or one that is too far
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

func (w *timed) Write(p []byte) (int, error) {
	left := time.Until(w.deadline)
	w.late = w.late || left <= 0 || left > writeTimeout
	w.deadline = time.Time{} // each write needs its own
	w.writes = append(w.writes, len(p))
	return w.ResponseRecorder.Write(p)
}

func (w *timed) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseRecorder, r)
	w.late = w.late || time.Until(w.deadline) <= 0
	w.deadline = time.Time{}
	w.writes = append(w.writes, int(n))
	return n, err
}

// A client has writeTimeout for each part of an answer, so that one which stops reading
// does not keep its connection, and one that is slow does.
func TestEachPartOfAnAnswerHasItsOwnTime(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1<<18)
	conn := &timed{ResponseRecorder: httptest.NewRecorder()}
	w := newResponse(conn)
	w.WriteHeader(http.StatusOK)
	for range 3 {
		if _, err := w.Write(content[:10]); err != nil {
			t.Fatal(err)
		}
	}
	n, err := w.ReadFrom(&io.LimitedReader{R: bytes.NewReader(content), N: int64(len(content))})
	if err != nil || n != int64(len(content)) || w.bytes != n+30 {
		t.Errorf("%d bytes, %d counted, %v", n, w.bytes, err)
	}
	if conn.late || len(conn.writes) != 3+(len(content)+turn-1)/turn {
		t.Errorf("writes of %v bytes; one was late: %t", conn.writes, conn.late)
	}
	w.extend()
	if w.end(); !conn.deadline.IsZero() {
		t.Error("the connection has a deadline for the next request")
	}
}

// counting is a connection that counts the writes of all.
type counting struct {
	timed
	writes *atomic.Int32
}

func (w *counting) ReadFrom(r io.Reader) (int64, error) {
	w.writes.Add(1)
	return w.timed.ReadFrom(r)
}

// Of eight clients that ask for a file at once, the others have the first part of it before
// one has all.
func TestTheFirstPartsOfAllComeFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	content := make([]byte, 2*turn)
	var clients sync.WaitGroup
	var writes atomic.Int32
	for range 8 {
		clients.Go(func() {
			w := newResponse(&counting{timed{ResponseRecorder: httptest.NewRecorder()}, &writes})
			w.WriteHeader(http.StatusOK)
			_, err := w.ReadFrom(&io.LimitedReader{R: bytes.NewReader(content), N: int64(len(content))})
			if n := writes.Load(); err != nil || n < 6 { // the scheduler may prefer one now and then
				t.Errorf("a client has all when %d parts were sent, %v", n, err)
			}
		})
	}
	clients.Wait()
}

type sourceError struct {
	busy, missing bool
	after         time.Duration
}

func (e sourceError) Error() string                     { return "it failed" }
func (e sourceError) Busy() bool                        { return e.busy }
func (e sourceError) Missing() bool                     { return e.missing }
func (e sourceError) RetryAfter() (time.Duration, bool) { return e.after, e.after > 0 }

// Only if all sources want fewer requests, the answer is 429, with the shortest of their
// times; never 5xx, at which docker waits.
func TestErrorsForEngines(t *testing.T) {
	busy, soon := sourceError{busy: true, after: time.Minute}, sourceError{busy: true, after: 1500 * time.Millisecond}
	for _, test := range []struct {
		err    error
		status int
		after  string
	}{
		{errors.New("anything"), 404, ""},
		{sourceError{missing: true}, 404, ""},
		{busy, 429, "60"},
		{errors.Join(busy, soon), 429, "2"},
		{errors.Join(busy, errors.New("down")), 404, ""},
		{errors.Join(busy, errors.Join(soon, sourceError{missing: true})), 404, ""},
	} {
		got := httptest.NewRecorder()
		failUpstream(got, codeBlobUnknown, test.err)
		if got.Code != test.status || got.Header().Get("Retry-After") != test.after || !strings.Contains(got.Body.String(), `"message"`) {
			t.Errorf("%v: %d, Retry-After %q, %s", test.err, got.Code, got.Header().Get("Retry-After"), got.Body)
		}
	}
}
