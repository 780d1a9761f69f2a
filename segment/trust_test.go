package segment

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSetTrust sets the trust of the second of two mirrors after one second and
// after three, and looks at what it served after each.
func TestSetTrust(t *testing.T) {
	for name, tc := range map[string]struct {
		first, then Trust
		after       [2]bool // it serves after each
	}{
		"trusted":                {Trusted, Trusted, [2]bool{true, true}},
		"suspect":                {Suspect, Suspect, [2]bool{false, false}},
		"suspect, then trusted":  {Suspect, Trusted, [2]bool{false, true}},
		"suspect, then excluded": {Suspect, Excluded, [2]bool{false, false}},
		"excluded":               {Excluded, Excluded, [2]bool{false, false}},
		"excluded for good":      {Excluded, Trusted, [2]bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mirrors := []*fakeMirror{{rate: mib}, {rate: mib}}
				opts := Options{Blobs: []int64{60 * mib}}
				sink := &fakeSink{t: t, sizes: opts.Blobs, have: make([]Set, 1)}
				opts.Sink = sink
				for _, m := range mirrors {
					opts.Peers = append(opts.Peers, Peer{Opener: m, Connections: 4})
				}
				f := NewFetch(opts)
				sink.fetch = f
				f.Want(0, Range{0, 60 * mib})
				done := make(chan error)
				go func() { done <- f.Run(t.Context()) }()
				for i, trust := range []Trust{tc.first, tc.then} {
					time.Sleep(time.Second)
					f.SetTrust(1, trust)
					synctest.Wait()
					before := mirrors[1].total()
					time.Sleep(time.Second)
					if serves := mirrors[1].total() > before; serves != tc.after[i] {
						t.Errorf("after step %d it serves: %v", i, serves)
					}
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func (m *fakeMirror) total() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served
}
