package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/transfer"
)

const (
	// followInterval is how often a client looks whether another process has fetched more.
	followInterval = 50 * time.Millisecond
	// followBlock is how many bytes a client gets at once.
	followBlock = 32 << 10
)

var records = sync.Pool{New: func() any { return new([state.MaxRecord]byte) }}

// follow sends bytes of a blob that another process is fetching, or has left, until this
// one begins to fetch it or the cache has it. It holds back as many of the last bytes as
// Transfer.Send does. It returns a writer for the whole range, which sends only what the
// client does not have: whoever writes to it later has verified the bytes, or will.
func (d *download) follow(ctx context.Context, w io.Writer, f *state.Follower, asked segment.Range) (*continued, error) {
	defer f.Close()
	look := time.NewTicker(followInterval)
	defer look.Stop()
	out := &continued{w: w, sent: sha256.New(), again: sha256.New()}
	end, block := min(asked.End, transfer.BeforeTail(d.blob.Size)), make([]byte, followBlock)
	for off := asked.Start; off < asked.End && !d.begun(); {
		n, err := readBlock(f, off, block[:max(0, min(followBlock, end-off))])
		if err == nil && n > 0 {
			err = out.send(block[:n])
		}
		if err != nil {
			return nil, err
		}
		if off += int64(n); n > 0 {
			continue
		}
		select {
		case <-look.C:
		case <-d.started:
		case <-d.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return out, nil
}

// begun reports whether this process fetches the blob, or has ended to wait for it.
func (d *download) begun() bool {
	select {
	case <-d.started:
		return true
	case <-d.ended:
		return true
	default:
		return false
	}
}

// readBlock reads what has arrived from off on.
func readBlock(f *state.Follower, off int64, block []byte) (int, error) {
	if len(block) == 0 {
		return 0, nil
	}
	record := records.Get().(*[state.MaxRecord]byte)
	defer records.Put(record)
	n, err := f.Read(off, record[:])
	return copy(block, record[:n]), err
}

// continued is an answer of which the client has got a part. Write takes all of its bytes
// from the first on. It compares those that the client has, and sends the others if they
// were the same.
type continued struct {
	w           io.Writer
	left        int64     // bytes that the client has, and that Write has not got yet
	sent, again hash.Hash // of the bytes that the client has, and of those that Write has got
}

// send sends bytes that another process has fetched.
func (c *continued) send(p []byte) error {
	c.left += int64(len(p))
	c.sent.Write(p)
	_, err := c.w.Write(p)
	return err
}

// Write implements io.Writer. The error is transfer.ErrAltered or that of the client.
func (c *continued) Write(p []byte) (int, error) {
	n := int(min(int64(len(p)), c.left))
	if n > 0 {
		c.again.Write(p[:n])
		if c.left -= int64(n); c.left == 0 && !bytes.Equal(c.sent.Sum(nil), c.again.Sum(nil)) {
			return 0, transfer.ErrAltered
		}
	}
	if n == len(p) {
		return n, nil
	}
	m, err := c.w.Write(p[n:])
	return n + m, err
}
