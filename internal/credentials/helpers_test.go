package credentials

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a runner that answers after a while, or fails when it is ended.
type slow struct {
	takes time.Duration
	runs  atomic.Int32
}

func (s *slow) run(ctx context.Context, _, server string) (Login, error) {
	s.runs.Add(1)
	select {
	case <-time.After(s.takes):
		return Login{Username: server, Password: "p"}, nil
	case <-ctx.Done():
		return Login{}, timedOut(ctx)
	}
}

// storeOf is a Store of one file that names the helper docker-credential-x.
func storeOf(t *testing.T, s *site, run runner) *Store {
	s.docker(t, `{"credsStore":"x"}`)
	store := s.store("")
	store.helpers.run = run
	return store
}

func TestCallersShareARun(t *testing.T) {
	s := newSite(t)
	helper := &slow{takes: 3 * time.Second}
	store := storeOf(t, s, helper.run)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for range 10 {
			go func() {
				if got := find(t, store, "h", "app"); got.Username != "h" || time.Since(start) != helper.takes {
					t.Errorf("after %v: got %v", time.Since(start), got)
				}
			}()
		}
		synctest.Wait()
		if got := store.Waiting(); got != "credential helper docker-credential-x" {
			t.Errorf("waiting for %q", got)
		}
		time.Sleep(helper.takes)
		synctest.Wait()
		if got := store.Waiting(); got != "" || helper.runs.Load() != 1 {
			t.Errorf("waiting for %q after %d runs", got, helper.runs.Load())
		}
	})
}

func TestACallerThatLeavesEndsNoOthersRun(t *testing.T) {
	s := newSite(t)
	helper := &slow{takes: 3 * time.Second}
	store := storeOf(t, s, helper.run)
	synctest.Test(t, func(t *testing.T) {
		leaving := errors.New("leaving")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, leaving)
		defer cancel()
		go func() {
			if got := find(t, store, "h", "app"); got.Username != "h" {
				t.Errorf("who stayed got %v", got)
			}
		}()
		start := time.Now()
		if _, err := store.Find(ctx, "h", "app"); err != leaving || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if _, err := store.Find(ctx, "h", "app"); err != leaving {
			t.Errorf("a context that has ended: %v", err)
		}
		time.Sleep(helper.takes)
		if runs := helper.runs.Load(); runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}

func TestARunThatAllCallersLeftIsNoFailureOfTheHelper(t *testing.T) {
	s := newSite(t)
	helper := &slow{takes: 3 * time.Second}
	store := storeOf(t, s, helper.run)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := store.Find(ctx, "h", "app"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if got := store.Waiting(); got != "" {
			t.Errorf("waiting for %q", got)
		}
		if got := find(t, store, "h", "app"); got.Username != "h" || helper.runs.Load() != 2 {
			t.Errorf("got %v after %d runs", got, helper.runs.Load())
		}
	})
	s.checkWarned(t, "", "")
}

func TestAHelperHas10Seconds(t *testing.T) {
	s := newSite(t)
	helper := &slow{takes: time.Hour}
	store := storeOf(t, s, helper.run)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, host := range []string{"h", "h", "g"} {
			if got := find(t, store, host, "app"); !got.Empty() || time.Since(start) != 10*time.Second {
				t.Errorf("after %v: got %v", time.Since(start), got)
			}
		}
		if runs := helper.runs.Load(); runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
	s.checkWarned(t, "docker-credential-x", "did not answer within 10s")
}

func TestALeaverDoesNotWaitForAHelperThatDoesNotEnd(t *testing.T) {
	var runs atomic.Int32
	helpers := newHelpers(func(context.Context, string, string) (Login, error) {
		runs.Add(1)
		time.Sleep(time.Hour)
		return Login{}, &failure{lasting: true}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if _, err := helpers.ask(ctx, "x", "h"); err != context.Canceled || time.Since(start) > killTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		time.Sleep(30 * time.Minute)
		go func() { _, _ = helpers.ask(t.Context(), "x", "h") }()
		time.Sleep(45 * time.Minute) // the first run has ended, the second has not
		if got := helpers.running(); got != "x" || runs.Load() != 2 {
			t.Errorf("running %q after %d runs", got, runs.Load())
		}
		time.Sleep(time.Hour)
	})
}
