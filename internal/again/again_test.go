package again

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// failure is an error of a server.
type failure struct{ missing, refused, mismatch, permanent, wait bool }

func (failure) Error() string     { return "no" }
func (f failure) Missing() bool   { return f.missing }
func (f failure) Refused() bool   { return f.refused }
func (f failure) Mismatch() bool  { return f.mismatch }
func (f failure) Permanent() bool { return f.permanent }
func (f failure) RetryAfter() (time.Duration, bool) {
	if f.wait {
		return time.Hour, true
	}
	return 0, false
}

func TestDo(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		calls int
		takes time.Duration
	}{
		"it succeeds":              {nil, 1, 0},
		"it may pass":              {errors.New("reset"), 5, 15 * time.Second},
		"a server that is busy":    {failure{}, 5, 15 * time.Second},
		"it asks for an hour":      {failure{wait: true}, 5, 4 * time.Minute},
		"there is no such thing":   {failure{missing: true}, 1, 0},
		"only with a login":        {failure{refused: true}, 1, 0},
		"it has something else":    {failure{mismatch: true}, 1, 0},
		"it would answer the same": {failure{permanent: true}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls, troubles := time.Now(), 0, 0
				err := Do(t.Context(), func(error) { troubles++ }, func() error { calls++; return test.err })
				if err != test.err || calls != test.calls || troubles != test.calls-1 || time.Since(began) != test.takes {
					t.Errorf("%v after %d calls, %d troubles and %v", err, calls, troubles, time.Since(began))
				}
			})
		})
	}
}

func TestDoEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, stop)
		defer cancel()
		began := time.Now()
		err := Do(ctx, func(error) {}, func() error { return errors.New("reset") })
		if err != stop || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
