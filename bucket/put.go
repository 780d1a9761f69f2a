package bucket

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
)

// Put puts the blob into the bucket, in the background, and ends the turn then. open opens
// the verified blob; it is called when the put begins. If the bucket has the blob, Put does
// nothing.
func (t *Turn) Put(open func(context.Context) (*os.File, error)) {
	s := t.store
	if s == nil {
		return
	}
	_, wrong := s.wrong.Load(t.blob.Digest)
	if t.found && !wrong {
		return
	}
	t.putting = true
	when := condition{absent: !wrong && !t.replace}
	s.enqueue(func(ctx context.Context) error { return t.put(ctx, open, when) }, t.end)
}

func (t *Turn) put(ctx context.Context, open func(context.Context) (*os.File, error), when condition) error {
	s := t.store
	if t.busy { // the other process may have put it since
		if there, err := s.has(ctx, t.blob); err != nil || there {
			return err
		}
	}
	f, err := open(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	err = s.client.putBlob(ctx, s.blobKey(t.blob.Digest), f, t.blob.Size, t.blob.Digest.Encoded(), when)
	return s.stored(ctx, t.blob.Digest, t.blob.Size, err)
}

// PutSmall puts a small blob into the bucket, in the background.
func (s *Store) PutSmall(mediaType string, body []byte) {
	if s == nil {
		return
	}
	d := digest.FromBytes(body)
	_, wrong := s.wrong.Load(d)
	s.enqueue(func(ctx context.Context) error {
		_, err := s.client.putSmall(ctx, s.blobKey(d), mediaType, body, condition{absent: !wrong})
		return s.stored(ctx, d, int64(len(body)), err)
	}, func() {})
}

// stored is called when a blob was put, or could not be.
func (s *Store) stored(ctx context.Context, d digest.Digest, size int64, err error) error {
	if local, ok := errors.AsType[localError](err); ok {
		s.opts.Warn(fmt.Sprintf("%s: blob %s is not put there: %v", s.Name(), d, local.error))
		return err
	}
	err = s.judge(ctx, opPut, err)
	if is(err, (*Error).exists) {
		return nil // another process was faster
	}
	if err == nil {
		s.wrong.Delete(d)
		s.counts.puts.Add(1)
		s.counts.putBytes.Add(size)
	}
	return err
}

// enqueue runs a put when a slot is free, and calls end when it has ended or is dropped.
func (s *Store) enqueue(put func(context.Context) error, end func()) {
	if s.queued.Add(1) <= mostQueued && s.takes() && s.runPut(put, end) {
		return
	}
	s.queued.Add(-1)
	s.counts.failedPuts.Add(1)
	s.run(end)
}

// runPut reports whether the store is open.
func (s *Store) runPut(put func(context.Context) error, end func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.puts.Add(1)
	s.running.Go(func() {
		defer s.puts.Done()
		defer s.queued.Add(-1)
		defer end()
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-s.lifetime.Done():
		}
		if s.lifetime.Err() != nil || !s.takes() || put(s.lifetime) != nil {
			s.counts.failedPuts.Add(1)
		}
	})
	return true
}
