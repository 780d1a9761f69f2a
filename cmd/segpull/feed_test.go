package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull"
)

// slowView keeps the events that it shows, and needs time for each.
type slowView struct {
	takes  time.Duration
	shown  []segpull.Event
	closed bool
}

func (v *slowView) show(_ time.Time, e segpull.Event) {
	time.Sleep(v.takes)
	v.shown = append(v.shown, e)
}

func (v *slowView) close() { v.closed = true }

func TestFeedShowsEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &slowView{}
		f := newFeed([]view{v}, true)
		var want []segpull.Event
		for _, e := range sampleEvents() {
			f.Observe(e.event)
			synctest.Wait()
			want = append(want, e.event)
		}
		f.close(t.Context())
		if fmt.Sprint(v.shown) != fmt.Sprint(want) || !v.closed {
			t.Errorf("closed %v, shown\n%v\nwant\n%v", v.closed, v.shown, want)
		}
	})
}

func TestFeedDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &slowView{takes: time.Second}
		f := newFeed([]view{v}, true)
		f.Observe(segpull.Warning{Message: "first"})
		synctest.Wait()
		began := time.Now()
		for i := range int64(3 * mostQueued) {
			f.Observe(segpull.Progress{Reference: "a", Done: i})
			f.Observe(segpull.Progress{Reference: "b", Done: i})
			f.Observe(testSending(i))
			f.Observe(segpull.Trouble{Source: "s", Message: "again"})
		}
		f.Observe(testFinished())
		if waited := time.Since(began); waited > 0 {
			t.Errorf("observing took %v", waited)
		}
		f.close(t.Context())
		// One sample of each image is left, the latest.
		for i, want := range []string{"a", "b"} {
			if p := v.shown[1+i].(segpull.Progress); p.Reference != want || p.Done != 3*mostQueued-1 {
				t.Errorf("sample %d is %s %d", i, p.Reference, p.Done)
			}
		}
		if s := v.shown[3].(segpull.Sending); s.Done != 3*mostQueued-1 {
			t.Errorf("the sample of what was sent is %d", s.Done)
		}
		if n := len(v.shown); n != 1+mostQueued+1 {
			t.Errorf("%d events were shown, want %d and the last", n, mostQueued+1)
		}
		if _, ok := v.shown[len(v.shown)-1].(segpull.Finished); !ok {
			t.Error("the result was dropped")
		}
	})
}

func TestFeedReportsTroublesOnlyWhenVerbose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &slowView{}
		f := newFeed([]view{v}, false)
		f.Observe(segpull.Trouble{Source: "s", Message: "again"})
		f.Observe(segpull.Warning{Message: "w"})
		f.close(t.Context())
		if len(v.shown) != 1 {
			t.Errorf("shown: %v", v.shown)
		}
	})
}

func TestAnInterruptedFeedDoesNotWaitForTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed([]view{&slowView{takes: time.Hour}}, false)
		f.Observe(segpull.Warning{Message: "w"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		f.close(ctx)
		if waited := time.Since(began); waited != closeWithin {
			t.Errorf("close took %v", waited)
		}
		time.Sleep(time.Hour) // the view ends too
	})
}
