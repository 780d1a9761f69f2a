package segpull

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/segment"
)

// maxTouchstone is the most bytes of a blob that sources are tested with.
const maxTouchstone = 64 << 10

// offerTouchstone is told of each blob that is right. The first small one,
// most often the config, serves testSources.
func (j *job) offerTouchstone(i int) {
	if size := j.blobs[i].Size; size == 0 || size > maxTouchstone {
		return
	}
	select {
	case j.court.stone <- i:
	default:
	}
}

// testSources asks all sources, but for who served it, for a blob that is known
// to be right: who always lies is found before it has served much.
func (j *job) testSources(ctx context.Context) {
	if len(j.peers) == 1 || j.resumed == j.size() {
		return
	}
	var stone int
	select {
	case stone = <-j.court.stone:
	case <-ctx.Done():
		return
	}
	truth, err := io.ReadAll(j.store.Blob(stone).Section())
	if err != nil || digest.FromBytes(truth) != j.blobs[stone].Digest {
		return // the disk has it no more
	}
	var tests sync.WaitGroup
	for _, p := range j.peers {
		if j.served(stone, p.Name()) == 0 && !j.liars.has(p.Name()) {
			tests.Go(func() { j.test(ctx, p, stone, truth) })
		}
	}
	tests.Wait()
}

func (j *job) test(ctx context.Context, p *peer, stone int, truth []byte) {
	said, err := j.recall(ctx, p, stone, segment.Range{End: int64(len(truth))})
	if err == nil && !bytes.Equal(said, truth) {
		j.convict(p.Name(), "it sent other bytes for %s, which is known", j.blobs[stone].Digest)
	}
}

// recall asks p for bytes of a blob; r should be short.
func (j *job) recall(ctx context.Context, p *peer, blob int, r segment.Range) ([]byte, error) {
	said := make([]byte, r.Len())
	err := j.ask(ctx, p, blob, []segment.Range{r}, j.haste(p, r.Len(), time.Now()), func(off int64, b []byte) error {
		copy(said[off-r.Start:], b)
		return nil
	})
	return said, err
}
