package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// CheckSources waits for the first blob of at most 64 KiB that is right, and
// asks all sources that did not serve it and have a request to spare for it: so one that always sends wrong
// bytes is found before it has served much. It returns when each has answered,
// or does not within seconds, or when ctx ends. It is called once.
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
	b := s.target(blob).blob
	right, err := readRange(b, segment.Range{End: b.Size()})
	sum := sha256.New()
	sum.Write(right)
	if err != nil || digest(sum) != b.Digest() {
		return // the disk does not have it any more
	}
	var checks sync.WaitGroup
	for k, src := range s.sources {
		if s.served(blob, src.origin.Name()) == 0 && s.sound(k) && src.origin.Spare() {
			checks.Go(func() { s.checkSource(ctx, src, blob, right) })
		}
	}
	checks.Wait()
}

func (s *Search) checkSource(ctx context.Context, src *source, blob int, right []byte) {
	got, err := s.ask(ctx, src, blob, segment.Range{End: int64(len(right))})
	if err == nil && !bytes.Equal(got, right) {
		s.exclude(src.origin.Name(), "it sent other bytes for %s, of which segpull has the right ones", s.target(blob).blob.Digest())
	}
}
