package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/segpull/segpull/segment"
)

// maxAnswer is the largest blob that serves as a known answer, in bytes.
const maxAnswer = 64 << 10

// offerAnswer is called with each blob that is right. The first small one, most
// often the config, serves CheckSources.
func (s *Search) offerAnswer(blob int) {
	if size := s.target(blob).blob.Size(); size == 0 || size > maxAnswer {
		return
	}
	select {
	case s.answer <- blob:
	default:
	}
}

// CheckSources waits for the first small blob that is right, and asks all
// sources that did not serve it for it: one that always sends wrong bytes is
// found before it has served much.
func (s *Search) CheckSources(ctx context.Context) {
	if len(s.sources) == 1 {
		return
	}
	var blob int
	select {
	case blob = <-s.answer:
	case <-ctx.Done():
		return
	}
	right, err := s.readRight(blob)
	if err != nil || right == nil {
		return // the disk does not have it any more
	}
	var checks sync.WaitGroup
	for k, src := range s.sources {
		if s.served(blob, src.source.Name()) == 0 && s.sound(k) {
			checks.Go(func() { s.checkSource(ctx, src, blob, right) })
		}
	}
	checks.Wait()
}

// readRight reads a whole blob, and compares its digest once more.
func (s *Search) readRight(blob int) ([]byte, error) {
	b := s.target(blob).blob
	p, err := readRange(b, segment.Range{End: b.Size()})
	if sum := sha256.Sum256(p); "sha256:"+hex.EncodeToString(sum[:]) != b.Digest() {
		return nil, err
	}
	return p, err
}

func (s *Search) checkSource(ctx context.Context, src *source, blob int, right []byte) {
	got, err := s.ask(ctx, src, blob, segment.Range{End: int64(len(right))})
	if err == nil && !bytes.Equal(got, right) {
		s.exclude(src.source.Name(), "it sent other bytes for %s, which is known", s.target(blob).blob.Digest())
	}
}
