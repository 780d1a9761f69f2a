package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// arriving is a Content whose runs of MaxRun bytes arrive at their own times.
type arriving struct {
	data    []byte
	at      []time.Time // when each run is there
	damaged map[int]int // how often a run turns out to be damaged when it is read
	repair  time.Duration
	failing error // of Read
}

func newArriving(data []byte) *arriving {
	return &arriving{data: data, at: make([]time.Time, (len(data)+MaxRun-1)/MaxRun), damaged: make(map[int]int)}
}

func (a *arriving) Wait(ctx context.Context, off int64) error {
	select {
	case <-time.After(time.Until(a.at[off/MaxRun])):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *arriving) Read(off int64, buf []byte) (int, error) {
	run := int(off / MaxRun)
	switch {
	case a.failing != nil:
		return 0, a.failing
	case time.Now().Before(a.at[run]):
		panic("read before it arrived")
	case a.damaged[run] > 0:
		a.damaged[run]--
		a.at[run] = time.Now().Add(a.repair)
		return 0, nil
	}
	return copy(buf, a.data[off:min((off/MaxRun+1)*MaxRun, int64(len(a.data)))]), nil
}

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

func digestOf(p []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(p)) }

func TestBlobIsHashedAsItArrives(t *testing.T) {
	tests := []struct {
		name    string
		size    int
		arrives []int       // second in which each run arrives; nil: at once
		damaged map[int]int // run: how often
		want    int         // seconds that it takes
	}{
		{name: "empty", size: 0},
		{name: "one byte", size: 1},
		{name: "one run", size: MaxRun},
		{name: "all there", size: 3*MaxRun + 7},
		{name: "in order", size: 3 * MaxRun, arrives: []int{1, 2, 3}, want: 3},
		{name: "backwards", size: 3*MaxRun + 7, arrives: []int{4, 3, 2, 1}, want: 4},
		{name: "the middle last", size: 3 * MaxRun, arrives: []int{1, 9, 2}, want: 9},
		{name: "damaged in the middle, fetched again in ten seconds", size: 3 * MaxRun, damaged: map[int]int{1: 1}, want: 10},
		{name: "damaged again and again", size: 3 * MaxRun, damaged: map[int]int{0: 1, 2: 3}, want: 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := random(tt.size)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				src := newArriving(data)
				src.repair = 10 * time.Second
				for run, times := range tt.damaged {
					src.damaged[run] = times
				}
				for run, second := range tt.arrives {
					src.at[run] = began.Add(time.Duration(second) * time.Second)
				}
				var f Frontier
				if err := f.Blob(t.Context(), src, digestOf(data), int64(tt.size)); err != nil {
					t.Fatal(err)
				}
				if f.Offset() != int64(tt.size) {
					t.Errorf("Offset() = %d, want %d", f.Offset(), tt.size)
				}
				if took := time.Since(began); took != time.Duration(tt.want)*time.Second {
					t.Errorf("took %v, want %ds", took, tt.want)
				}
			})
		})
	}
}

func TestOffsetFollowsTheFrontier(t *testing.T) {
	data := random(3 * MaxRun)
	synctest.Test(t, func(t *testing.T) {
		src := newArriving(data)
		src.at[1] = time.Now().Add(time.Hour)
		var f Frontier
		result := make(chan error)
		go func() { result <- f.Blob(t.Context(), src, digestOf(data), int64(len(data))) }()
		synctest.Wait()
		if f.Offset() != MaxRun {
			t.Errorf("Offset() = %d while the second run is missing, want %d", f.Offset(), MaxRun)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// TestOffsetNeverFalls hashes a blob again after its bytes were wrong.
func TestOffsetNeverFalls(t *testing.T) {
	data := random(3 * MaxRun)
	synctest.Test(t, func(t *testing.T) {
		var f Frontier
		src := newArriving(data)
		if err := f.Blob(t.Context(), src, digestOf(nil), int64(len(data))); err == nil {
			t.Fatal("the digest of nothing is right")
		}
		src.at[1] = time.Now().Add(time.Hour)
		result := make(chan error)
		go func() { result <- f.Blob(t.Context(), src, digestOf(data), int64(len(data))) }()
		synctest.Wait()
		if f.Offset() != int64(len(data)) {
			t.Errorf("Offset() = %d after a run and a half, %d before", f.Offset(), len(data))
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestMismatch(t *testing.T) {
	data := random(2*MaxRun + 100)
	good := digestOf(data)
	for _, at := range []int{0, MaxRun, len(data) - 1} {
		data[at] ^= 1
		var f Frontier
		err := f.Blob(t.Context(), newArriving(data), good, int64(len(data)))
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || mismatch.Want != good || mismatch.Got != digestOf(data) {
			t.Errorf("byte %d flipped: Blob() = %v", at, err)
		}
		data[at] ^= 1
		// The same Frontier starts again from the first byte.
		if err := f.Blob(t.Context(), newArriving(data), good, int64(len(data))); err != nil {
			t.Errorf("byte %d mended: Blob() = %v", at, err)
		}
	}
}

func TestOtherDigestsNeverMatch(t *testing.T) {
	for _, want := range []string{"", "sha256:", strings.ToUpper(digestOf(nil)), strings.Replace(digestOf(nil), "256", "512", 1)} {
		var f Frontier
		if err := f.Blob(t.Context(), newArriving(nil), want, 0); err == nil {
			t.Errorf("the empty blob was taken for %q", want)
		}
	}
}

func TestErrorOfTheContent(t *testing.T) {
	src := newArriving(random(10))
	src.failing = errors.New("input/output error")
	var f Frontier
	if err := f.Blob(t.Context(), src, digestOf(src.data), 10); err != src.failing {
		t.Errorf("Blob() = %v, want the content's error", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	cause := errors.New("interrupted")
	synctest.Test(t, func(t *testing.T) {
		src := newArriving(random(2 * MaxRun))
		src.at[1] = time.Now().Add(time.Hour)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		began := time.Now()
		var f Frontier
		if err := f.Blob(ctx, src, digestOf(src.data), 2*MaxRun); err != cause {
			t.Errorf("Blob() = %v, want the cause of its context", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v to notice", took)
		}
	})
}

// A source that has everything never waits, so it does not look at the
// context; the hashing of what is there may last for minutes.
func TestEndsWithItsContextInTheMidstOfBytes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	src := &eager{newArriving(random(10 * MaxRun)), cancel}
	var f Frontier
	if err := f.Blob(ctx, src, "", 10*MaxRun); !errors.Is(err, context.Canceled) {
		t.Errorf("Blob() = %v, want that it was cancelled", err)
	}
	if f.Offset() != MaxRun {
		t.Errorf("%d bytes were hashed, %d after the end", f.Offset(), f.Offset()-MaxRun)
	}
}

// eager has everything, and is interrupted while it is read.
type eager struct {
	*arriving
	interrupt func()
}

func (e *eager) Wait(context.Context, int64) error { return nil }

func (e *eager) Read(off int64, buf []byte) (int, error) {
	e.interrupt()
	return e.arriving.Read(off, buf)
}
