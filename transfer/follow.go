package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// ErrEnded is the error of a blob that End was called for, or that was added
// when the transfer had ended.
var ErrEnded = errors.New("the transfer of the blob was ended")

// readAhead is how many bytes, from the one that a reader waits for, the fetch
// prefers to all others.
const readAhead = 1 << 20

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

// Send writes a blob to w while it arrives; the fetch prefers the bytes that w
// waits for. Send holds the last bytes back until the blob is right, and if
// those before them were wrong when it wrote them, it returns a
// *verify.MismatchError: so w gets the whole blob only with the right bytes.
func (t *Transfer) Send(ctx context.Context, w io.Writer, blob int) error {
	ctx, cancel := t.item(blob).outcome.bind(ctx)
	defer cancel()
	b := t.item(blob).stored
	buf := buffers.Get().(*[state.MaxRecord]byte)
	defer buffers.Put(buf)
	sum := sha256.New()
	for off := int64(0); off < b.Size(); {
		n, err := t.next(ctx, blob, off, buf[:])
		if err != nil {
			return err
		}
		sum.Write(buf[:n])
		off += int64(n)
		if off == b.Size() {
			if err := t.compare(blob, sum); err != nil {
				return err
			}
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new([state.MaxRecord]byte) }}

// next reads bytes of a blob from off on, once they are there: the last ones,
// once the blob is right.
func (t *Transfer) next(ctx context.Context, blob int, off int64, buf []byte) (int, error) {
	b := t.item(blob).stored
	for {
		if b.Prefix() <= off {
			t.fetch.Prefer(blob, segment.Range{Start: off, End: min(off+readAhead, b.Size())})
		}
		if err := b.Wait(ctx, off); err != nil {
			return 0, err
		}
		n, err := b.Read(off, buf)
		if err != nil {
			return 0, err
		}
		if off+int64(n) == b.Size() {
			if err := t.Wait(ctx, blob); err != nil {
				return 0, err
			}
			n, err = b.Read(off, buf) // it may have been replaced
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (t *Transfer) compare(blob int, sum hash.Hash) error {
	want := string(t.item(blob).descriptor.Digest)
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != want {
		return &verify.MismatchError{Want: want, Got: got}
	}
	return nil
}
