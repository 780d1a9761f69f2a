package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
)

// ErrEnded is the error of a blob that End was called for, or that was added
// when the transfer had ended.
var ErrEnded = errors.New("the transfer of the blob was ended")

// outcome is what becomes of a blob.
type outcome struct {
	right  chan struct{}   // closed when the blob is right
	failed context.Context // ends when it will not become right, with the reason as its cause
	fail   context.CancelCauseFunc
}

func newOutcome() *outcome {
	failed, fail := context.WithCancelCause(context.Background())
	return &outcome{make(chan struct{}), failed, fail}
}

// known reports whether the blob is right, or will not become so.
func (o *outcome) known() bool {
	select {
	case <-o.right:
		return true
	default:
		return o.failed.Err() != nil
	}
}

// end says that the blob will not become right, unless it is.
func (o *outcome) end(err error) {
	select {
	case <-o.right:
	default:
		o.fail(err)
	}
}

// bind returns a context that ends with ctx, or when the blob has failed.
func (o *outcome) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(o.failed, func() { cancel(context.Cause(o.failed)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Wait returns nil when a blob is right. Otherwise the error is the reason why
// it will not become right in this transfer, or the cause of ctx.
func (t *Transfer) Wait(ctx context.Context, blob int) error {
	o := t.item(blob).outcome
	select {
	case <-o.right:
		return nil
	default:
	}
	select {
	case <-o.right:
		return nil
	case <-o.failed.Done():
		return context.Cause(o.failed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// End ends the transfer of one blob, unless it is right. Wait and Send for it
// return ErrEnded; what has arrived stays in the store.
func (t *Transfer) End(blob int) { t.item(blob).outcome.end(ErrEnded) }

// ErrAltered is the error of a reader that got bytes which turned out to be wrong.
var ErrAltered = errors.New("bytes of the blob that were read have been replaced since")

// Send writes the bytes r of a blob to w while they arrive, in blocks of at most 32 KiB;
// the fetch prefers those that w waits for. While some bytes of the blob are probably
// wrong, Send waits. It holds the last 1 MiB of the blob, or the last 1 % if that is
// less, back until the blob is right. If what it wrote before has been replaced, it
// returns ErrAltered: so w gets the last bytes only after right ones.
//
// The store must be open until Send returns. The error is that of w, of the disk or of
// Wait, or the cause of ctx.
func (t *Transfer) Send(ctx context.Context, w io.Writer, blob int, r segment.Range) error {
	item := t.item(blob)
	ctx, cancel := item.outcome.bind(ctx)
	defer cancel()
	f := follower{transfer: t, item: item, blob: blob, all: r, began: item.stored.Alterations()}
	buf := sendBuffers.Get().(*[sendBlock]byte)
	defer sendBuffers.Put(buf)
	for off := r.Start; off < r.End; {
		n, err := f.next(ctx, off, buf[:min(sendBlock, r.End-off)])
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// BeforeTail is how many bytes of a blob of size bytes, from the first on, a reader may get
// before the blob is right.
func BeforeTail(size int64) int64 { return size - max(1, min(size/heldBackPart, mostHeldBack)) }

// Arrived reports whether the byte at off of a blob is there, or the blob is right.
func (t *Transfer) Arrived(blob int, off int64) bool {
	return t.item(blob).stored.Recorded(off, 1) > off
}

const (
	// sendBlock is how many bytes Send reads at once: a server has many readers.
	sendBlock = 32 << 10
	// mostHeldBack and heldBackPart are how much of a blob Send holds back.
	mostHeldBack = 1 << 20
	heldBackPart = 100
	// readAhead is how many bytes, from the one that a reader waits for, the fetch prefers
	// to all others: fewer for a reader of the rest of the blob, so that several of them
	// have their first bytes soon.
	readAhead     = 1 << 20
	restReadAhead = 256 << 10
	// preferAfter is how long a reader of the rest waits until bytes are preferred again:
	// large requests bring what it waits for, and are faster.
	preferAfter = time.Second
	// doubtInterval is how often a reader looks whether wrong bytes have been replaced.
	doubtInterval = 20 * time.Millisecond
)

var records = sync.Pool{New: func() any { return new([state.MaxRecord]byte) }}

var sendBuffers = sync.Pool{New: func() any { return new([sendBlock]byte) }}

// follower is a reader of a blob that arrives.
type follower struct {
	transfer *Transfer
	item     *item
	blob     int
	all      segment.Range // that it reads
	began    int           // state.Blob.Alterations at its start
	waited   bool
}

// next reads bytes from off on, once they may be sent.
func (f *follower) next(ctx context.Context, off int64, buf []byte) (int, error) {
	b := f.item.stored
	for {
		end, err := f.wait(ctx, off)
		if err != nil {
			return 0, err
		}
		before := b.Alterations()
		n, err := f.read(off, buf[:min(int64(len(buf)), end-off)])
		if err != nil {
			return 0, err
		}
		switch {
		case b.Altered(f.began, segment.Range{Start: f.all.Start, End: off}):
			return 0, ErrAltered
		case n > 0 && !b.Altered(before, segment.Range{Start: off, End: off + int64(n)}):
			return n, nil
		}
	}
}

// read reads bytes that are recorded. Of those that were not hashed yet, it checks the
// records, which an earlier process may have left.
func (f *follower) read(off int64, buf []byte) (int, error) {
	b := f.item.stored
	if off+int64(len(buf)) <= f.transfer.Hashed(f.blob) {
		n := b.Recorded(off, int64(len(buf))) - off
		return b.Section().ReadAt(buf[:n], off)
	}
	record := records.Get().(*[state.MaxRecord]byte)
	defer records.Put(record)
	n, err := b.Read(off, record[:])
	return copy(buf, record[:n]), err
}

// wait waits until the byte at off may be sent, and returns up to where others may be.
func (f *follower) wait(ctx context.Context, off int64) (end int64, err error) {
	t, size := f.transfer, f.item.stored.Size()
	if end = BeforeTail(size); off >= end {
		return size, t.Wait(ctx, f.blob)
	}
	for t.search.Doubts(f.blob) {
		select {
		case <-time.After(doubtInterval):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	for again := false; f.item.stored.Recorded(off, 1) == off; again = true {
		f.prefer(off, again)
		waiting, cancel := context.WithTimeout(ctx, preferAfter)
		err := f.item.stored.Wait(waiting, off)
		cancel()
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err != nil && waiting.Err() == nil {
			return 0, err
		}
	}
	return end, nil
}

// prefer makes the fetch prefer the bytes from off on, for which the reader waits: again,
// if it has waited for preferAfter.
func (f *follower) prefer(off int64, again bool) {
	r := segment.Range{Start: off, End: min(off+readAhead, f.all.End)}
	if f.all.End == f.item.stored.Size() {
		if f.waited && !again {
			return
		}
		r.End = min(off+restReadAhead, f.all.End)
	}
	f.waited = true
	f.transfer.fetch.Prefer(f.blob, r)
}
