package segpull

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// queue lets one in at a time, the smallest of those that wait. The zero queue
// is empty.
type queue struct {
	mu      sync.Mutex
	busy    bool
	waiting []turn
}

type turn struct {
	size int64
	come chan struct{}
}

// enter waits for the turn of something of this size. After nil, leave is to
// be called. The error is the cause of ctx, which is to be the same for all.
func (q *queue) enter(ctx context.Context, size int64) error {
	q.mu.Lock()
	if !q.busy {
		q.busy = true
		q.mu.Unlock()
		return nil
	}
	t := turn{size, make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.mu.Unlock()
	select {
	case <-t.come:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryEnter says whether it is nobody else's turn; then leave is to be called.
func (q *queue) tryEnter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	entered := !q.busy
	q.busy = true
	return entered
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy = false
		return
	}
	next := slices.MinFunc(q.waiting, func(a, b turn) int { return cmp.Compare(a.size, b.size) })
	q.waiting = slices.DeleteFunc(q.waiting, func(t turn) bool { return t == next })
	close(next.come)
}
