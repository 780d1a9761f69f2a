package registrytest

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// meter is what all faults write to in the end: it throttles and counts what
// really goes out.
type meter struct {
	http.ResponseWriter
	ctx    context.Context
	ex     *exchange
	conn   pacer
	joined bool
	length int64 // as the answer's header has it; -1: not at all
}

func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

func (m *meter) WriteHeader(status int) {
	s := m.ex.server
	s.mu.Lock()
	if m.ex.Status == 0 {
		m.ex.Status, m.ex.FirstByte = status, time.Now()
	}
	s.mu.Unlock()
	m.length = -1
	if n, err := strconv.ParseInt(m.Header().Get("Content-Length"), 10, 64); err == nil {
		m.length = n
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(p []byte) (int, error) {
	if m.ex.Status == 0 {
		m.WriteHeader(http.StatusOK)
	}
	link := &m.ex.server.link
	if !m.joined {
		m.joined = true
		m.conn.join()
		link.join()
	}
	done := 0
	for done < len(p) {
		abortIfDone(m.ctx)
		n := m.conn.quantum(link.quantum(len(p) - done))
		m.conn.wait(m.ctx, n)
		link.wait(m.ctx, n)
		m.count(n) // first: who has got bytes may look them up at once
		written, err := m.ResponseWriter.Write(p[done : done+n])
		done += written
		if err != nil {
			m.count(written - n)
			return done, err
		}
		if done < len(p) { // throttled: nothing may linger in a buffer
			_ = http.NewResponseController(m.ResponseWriter).Flush()
		}
	}
	return done, nil
}

func (m *meter) count(n int) {
	s := m.ex.server
	s.mu.Lock()
	m.ex.Bytes += int64(n)
	last := m.ex.Bytes == m.length
	s.mu.Unlock()
	if last {
		m.ex.end()
	}
}

func (m *meter) finish() {
	if m.joined {
		m.conn.leave()
		m.ex.server.link.leave()
	}
	m.ex.end()
}
