package credentials

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// helperTimeout is how long a helper may take for one answer. Asking a
	// keyring takes milliseconds, asking a cloud up to a few seconds.
	helperTimeout = 10 * time.Second
	// killTimeout is how long a caller that gives up waits for the end of the
	// helper that it leaves behind.
	killTimeout = 100 * time.Millisecond
)

var (
	// errReported means that a helper is not asked, since it was reported as
	// one that never answers.
	errReported = errors.New("the helper was reported before")
	// errAbandoned is the cause that ends a run that no caller waits for any more.
	errAbandoned = errors.New("every caller has left")
)

// failure is why a helper gave no answer. Neither text holds a secret.
type failure struct {
	what    string // follows "credential helper x, which y names,"
	advice  string // what to do
	lasting bool   // it will be the same for every server
}

func (f *failure) Error() string { return f.what }

// runner asks a program for the login of a server, until ctx ends. An empty
// Login means that the program stores none, and each error is a *failure.
type runner func(ctx context.Context, program, server string) (Login, error)

// helpers asks credential helpers, each question once: callers that ask the
// same at the same time share a run, and later ones its answer. A failure is
// not kept, except that of a program that fails for every server. It is safe
// for use by several goroutines at the same time.
type helpers struct {
	run     runner
	timeout time.Duration // for one run

	mu     sync.Mutex
	asked  map[question]*answer // running, or without a failure
	broken map[string]bool      // programs that are not asked again
}

type question struct{ program, server string }

// answer is what a program answers, or will answer.
type answer struct {
	callers int // that have waited or wait, without those who left
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed once login and err are set
	login   Login
	err     error
}

func newHelpers(run runner) *helpers {
	return &helpers{
		run:     run,
		timeout: helperTimeout,
		asked:   make(map[question]*answer),
		broken:  make(map[string]bool),
	}
}

// ask returns what a program answers for a server. It returns the cause of ctx
// as soon as that ends, errReported, or a *failure.
func (h *helpers) ask(ctx context.Context, program, server string) (Login, error) {
	q := question{program, server}
	a, err := h.join(q)
	if err != nil {
		return Login{}, err
	}
	select {
	case <-a.done:
		return a.login, a.err
	case <-ctx.Done():
		h.leave(q, a)
		return Login{}, context.Cause(ctx)
	}
}

// join adds a caller to a question, and asks it if no caller has.
func (h *helpers) join(q question) (*answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.asked[q]
	if a == nil && h.broken[q.program] {
		return nil, errReported
	}
	if a == nil {
		a = h.start(q)
	}
	a.callers++
	return a, nil
}

// start runs a program in a goroutine of its own. Its deadline is that of no
// caller. h.mu is held.
func (h *helpers) start(q question) *answer {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &answer{cancel: cancel, done: make(chan struct{})}
	h.asked[q] = a
	go func() {
		defer cancel(nil)
		ctx, stop := context.WithTimeout(ctx, h.timeout)
		defer stop()
		login, err := h.run(ctx, q.program, q.server)
		h.finish(q, a, login, err)
	}()
	return a
}

// finish wakes the callers, and forgets a failure that may pass.
func (h *helpers) finish(q question, a *answer, login Login, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.login, a.err = login, err
	close(a.done)
	if err == nil || h.asked[q] != a { // answered, or every caller has left
		return
	}
	delete(h.asked, q)
	if f, ok := errors.AsType[*failure](err); ok && f.lasting {
		h.broken[q.program] = true
	}
}

// leave ends a run that no caller waits for any more, and waits a moment for
// the helper to end: a process that exits at once would leave it behind.
func (h *helpers) leave(q question, a *answer) {
	if !h.isLast(q, a) {
		return
	}
	a.cancel(errAbandoned)
	select {
	case <-a.done:
	case <-time.After(killTimeout):
	}
}

// isLast removes a caller, and forgets a run that has no other.
func (h *helpers) isLast(q question, a *answer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.callers--
	if a.callers > 0 || a.isDone() {
		return false
	}
	delete(h.asked, q)
	return true
}

func (a *answer) isDone() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// running returns the first by alphabet of the programs that have not
// answered, or "".
func (h *helpers) running() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var first string
	for q, a := range h.asked {
		if !a.isDone() && (first == "" || q.program < first) {
			first = q.program
		}
	}
	return first
}
