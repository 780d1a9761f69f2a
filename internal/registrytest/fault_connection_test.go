package registrytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsAreCutWhereTheyShould(t *testing.T) {
	b := RandomBlob(1, 1<<20)
	tests := map[string]struct {
		fault  Fault
		lo, hi int
	}{
		"cut after":       {CutAfter(300_000), 300_000, 300_000},
		"cut at once":     {CutAfter(0), 0, 0},
		"cut between":     {CutBetween(200_000, 400_000), 200_000, 400_000},
		"truncate":        {Truncate(300_000), 300_000, 300_000},
		"truncate at 0":   {Truncate(0), 0, 0},
		"not this time":   {CutAfter(2 << 20), 1 << 20, 1 << 20},
		"exactly the end": {CutAfter(1 << 20), 1 << 20, 1 << 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg, address := serveBlob(t, b)
			reg.Misbehave(tt.fault)
			a := get(t, address)
			if len(a.Body) < tt.lo || len(a.Body) > tt.hi || !bytes.HasPrefix(b.Bytes(), a.Body) {
				t.Errorf("got %d bytes, want %d to %d of the blob", len(a.Body), tt.lo, tt.hi)
			}
			if short := len(a.Body) < int(b.Size); short != errors.Is(a.Err, io.ErrUnexpectedEOF) {
				t.Errorf("error is %v after %d of %d bytes", a.Err, len(a.Body), b.Size)
			}
			if got := reg.Stats().Bytes; got != int64(len(a.Body)) {
				t.Errorf("counted %d bytes, sent %d", got, len(a.Body))
			}
		})
	}
}

// A link that dies every so many bytes doesn't care how they are asked for.
func TestCutAfterCountsAllResponsesOfAConnection(t *testing.T) {
	b := RandomBlob(1, 1000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(CutAfter(250))
	c := newClient(t)
	var got []int
	for range 6 {
		got = append(got, len(ask(t, c, http.MethodGet, address, "Range: bytes=0-99").Body))
	}
	want := []int{100, 100, 50, 100, 100, 50}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("bodies have %v bytes, want %v", got, want)
		}
	}
}

func TestResetIsAReset(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"http": httptest.NewServer, "https": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			b := RandomBlob(1, 2<<20)
			reg := New()
			reg.AddBlob(repo, b)
			reg.Misbehave(ResetAfter(100_000))
			server := start(reg)
			defer server.Close()
			a := ask(t, server.Client(), http.MethodGet, server.URL+blobPath(b))
			if !errors.Is(a.Err, syscall.ECONNRESET) {
				t.Errorf("error is %v, want a reset", a.Err)
			}
		})
	}
}

func TestStallsHoldTheConnectionOpen(t *testing.T) {
	tests := map[string]struct {
		fault Fault
		want  int
	}{
		"in mid-body":      {StallAfter(5000), 5000},
		"after the header": {StallAfter(0), 0},
		"before any":       {Hang(), -1},
		"first byte delay": {FirstByteDelay(24 * time.Hour), -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := RandomBlob(1, 1<<20)
				reg := New()
				reg.AddBlob(repo, b)
				reg.Misbehave(tt.fault)
				client := servePipe(t, reg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				a := askContext(ctx, t, client, http.MethodGet, "http://registry"+blobPath(b))
				if !errors.Is(a.Err, context.DeadlineExceeded) {
					t.Errorf("error is %v, want our own time-out", a.Err)
				}
				if tt.want < 0 && a.Status != 0 || tt.want >= 0 && (a.Status != 200 || len(a.Body) != tt.want) {
					t.Errorf("got status %d and %d bytes, want %d", a.Status, len(a.Body), tt.want)
				}
				synctest.Wait()
				if reg.Stats().Log[0].Done.IsZero() {
					t.Error("the request goes on although its client has left")
				}
			})
		})
	}
}

func TestDelays(t *testing.T) {
	tests := map[string]struct {
		fault Fault
		rang  string
		want  time.Duration
	}{
		"latency":                 {Latency(50 * time.Millisecond), "", 50 * time.Millisecond},
		"delay by the whole":      {FirstByteDelay(time.Second), "", time.Second},
		"delay by what is asked":  {FirstByteDelay(time.Second), "bytes=0-524287", 500 * time.Millisecond},
		"delay by an open range":  {FirstByteDelay(time.Second), "bytes=524288-", time.Second / 2},
		"pause":                   {PauseAfter(1000, time.Minute), "", time.Minute},
		"pause beyond the end":    {PauseAfter(3<<20, time.Minute), "", 0},
		"trickle":                 {Trickle(64 << 10), "", 16 * time.Second},
		"of all the slowest":      {All(Trickle(64<<10), Trickle(128<<10)), "", 16 * time.Second},
		"one after the other":     {All(Latency(time.Second), Latency(time.Second)), "", 2 * time.Second},
		"only where it is wanted": {Latency(time.Second).On(KindManifest), "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := RandomBlob(1, 1<<20)
				reg := New()
				reg.AddBlob(repo, b)
				reg.Misbehave(tt.fault)
				start := time.Now()
				a := ask(t, servePipe(t, reg), http.MethodGet, "http://registry"+blobPath(b), "Range: "+tt.rang)
				if a.Err != nil {
					t.Error(a.Err)
				}
				if took := time.Since(start); (took - tt.want).Abs() > tt.want/20 {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestEndlessBodyEndsWithItsClient(t *testing.T) {
	b := RandomBlob(1, 1000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(Endless())
	resp, err := newClient(t).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3<<20)
	_, err = io.ReadFull(resp.Body, got)
	resp.Body.Close()
	if err != nil || !bytes.HasPrefix(got, b.Bytes()) || resp.ContentLength != -1 {
		t.Errorf("body of length %d: %v", resp.ContentLength, err)
	}
	waitDone(t, reg)
}

func TestEndlessHeadersEndWithTheirClientOrTheServer(t *testing.T) {
	b := RandomBlob(1, 1000)
	t.Run("client has its bound", func(t *testing.T) {
		reg, address := serveBlob(t, b)
		reg.Misbehave(EndlessHeaders(0))
		if a := get(t, address); a.Err == nil {
			t.Errorf("status is %d, want an error", a.Status)
		}
		waitDone(t, reg)
	})
	t.Run("server is killed", func(t *testing.T) {
		reg, address := serveBlob(t, b)
		reg.Misbehave(EndlessHeaders(time.Hour))
		time.AfterFunc(20*time.Millisecond, reg.Kill)
		if a := get(t, address); a.Err == nil {
			t.Errorf("status is %d, want an error", a.Status)
		}
		waitDone(t, reg)
	})
}

func waitDone(t *testing.T, reg *Server) {
	t.Helper()
	for reg.Stats().Log[0].Done.IsZero() {
		time.Sleep(time.Millisecond)
	}
}
