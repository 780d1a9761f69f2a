package segment

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// blockSize is the most that is read before it is handed to the sink: what
	// a kill can cost each connection.
	blockSize = 256 << 10
	// flushAfter is the longest that bytes wait for a block to fill.
	flushAfter = 500 * time.Millisecond
)

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// carryOut makes the request of a task and ends the task. The error is one of
// the sink; those of the source go to the scheduler.
func (f *Fetch) carryOut(t *handedOut) error {
	failure, sinkErr := f.request(t)
	f.locked(func() {
		why := outcome{kind: outcomeDone}
		switch {
		case t.stalled > 0:
			failure = &stallError{t.stalled}
		case t.ctx.Err() != nil: // revoked, or the whole fetch is over
			failure = nil
		case failure != nil:
			why = outcomeOf(failure)
		}
		if failure != nil {
			f.last[t.source] = lastFailure{t.blob, failure}
		}
		f.sched.end(t.task, why, time.Now())
		f.cancel[t.task]()
		delete(f.cancel, t.task)
	})
	if failure != nil && f.opts.Trouble != nil {
		f.opts.Trouble(t.source, failure)
	}
	f.poke()
	return sinkErr
}

// stallError reports that a source fell silent.
type stallError struct{ silent time.Duration }

func (e *stallError) Error() string {
	return fmt.Sprintf("stalled: no byte for %v", e.silent.Round(tickInterval))
}

func (f *Fetch) request(t *handedOut) (failure, sinkErr error) {
	answer, err := f.opts.Peers[t.source].Open(t.ctx, t.blob, t.asked)
	if err != nil {
		return err, nil
	}
	defer answer.Body.Close()
	got := answer.Range
	var useful bool
	f.locked(func() {
		t.sent = later(t.sent, answer.Sent)
		useful = f.sched.opened(t.task, got, time.Now())
	})
	f.poke()
	short := clipped(t.asked, got)
	if !useful {
		return short, nil
	}
	x := &transfer{fetch: f, task: t, body: answer.Body, at: got.Start, wanted: got.Len()}
	x.block = blocks.Get().(*[blockSize]byte)
	defer blocks.Put(x.block)
	failure, sinkErr = x.run()
	if failure == nil && got.Len() < grain {
		failure = short
	}
	return failure, sinkErr
}

// clipped is the error of an answer that is only the beginning of what was asked
// for.
func clipped(asked, got Range) error {
	if got.Start != asked.Start || got.End >= asked.End {
		return nil
	}
	return fmt.Errorf("answered with %d of the %d bytes that it was asked for", got.Len(), asked.Len())
}

// transfer reads one body into the sink.
type transfer struct {
	fetch *Fetch
	task  *handedOut
	body  io.Reader

	at      int64            // offset in the blob of the next byte to read
	wanted  int64            // bytes that are still wanted of the body
	block   *[blockSize]byte // bytes read but not yet in the sink
	filled  int
	flushed time.Time
}

// run reads until nothing more is wanted or the source fails. Whatever came is
// in the sink when it returns.
func (x *transfer) run() (failure, sinkErr error) {
	x.flushed = time.Now()
	for x.wanted > 0 {
		failure = x.read()
		if failure != nil || x.due() {
			if err := x.flush(); err != nil {
				return nil, err
			}
		}
		if failure != nil {
			return failure, nil
		}
	}
	return nil, x.flush()
}

// read reads once from the body, up to the end of the block.
func (x *transfer) read() error {
	room := min(x.wanted, blockSize-(x.at%blockSize), int64(blockSize-x.filled))
	granted, err := x.take(room)
	if err != nil {
		return err
	}
	n, err := x.body.Read(x.block[x.filled : x.filled+int(granted)])
	x.putBack(granted - int64(n))
	if n > 0 {
		x.filled += n
		x.at += int64(n)
		x.fetch.locked(func() {
			x.wanted = x.fetch.sched.advance(x.task.task, int64(n), time.Now())
		})
	}
	if err == io.EOF && x.wanted > 0 {
		return io.ErrUnexpectedEOF
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// due reports whether the block should go to the sink: it reaches a multiple of
// its size, or has waited for long.
func (x *transfer) due() bool {
	return x.at%blockSize == 0 || x.filled == blockSize || time.Since(x.flushed) >= flushAfter
}

func (x *transfer) flush() error {
	if x.filled == 0 {
		return nil
	}
	off := x.at - int64(x.filled)
	began := time.Now()
	err := x.fetch.opts.Sink.Write(x.task.blob, off, x.block[:x.filled], x.task.source)
	x.filled, x.flushed = 0, time.Now()
	x.fetch.locked(func() { x.fetch.sched.sinkTime(x.flushed.Sub(began)) })
	return err
}

// take waits until the limits, the source's and the common one, permit a read,
// and returns how many of n bytes.
func (x *transfer) take(n int64) (int64, error) {
	own, common := x.fetch.opts.Peers[x.task.source].Limiter, x.fetch.opts.Limiter
	if own.unlimited() && common.unlimited() {
		return n, x.task.ctx.Err()
	}
	x.fetch.locked(func() { x.fetch.sched.pause(x.task.task) })
	defer x.fetch.locked(func() { x.fetch.sched.resume(x.task.task, time.Now()) })
	granted, err := own.Take(x.task.ctx, n)
	if err != nil {
		return 0, err
	}
	both, err := common.Take(x.task.ctx, granted)
	own.putBack(granted - both)
	return both, err
}

func (x *transfer) putBack(n int64) {
	x.fetch.opts.Peers[x.task.source].Limiter.putBack(n)
	x.fetch.opts.Limiter.putBack(n)
}
