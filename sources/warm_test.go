package sources

import (
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// TestWarmFetchesTokensOfTheOtherSources prepares the second source while the first
// one resolves the tag: that answers the challenge of its manifest itself.
func TestWarmFetchesTokensOfTheOtherSources(t *testing.T) {
	first, a := serving(t, imageA)
	second, b := serving(t, imageA)
	for _, s := range []*registrytest.Server{first, second} {
		s.Misbehave(registrytest.Bearer(registrytest.Auth{}))
	}
	set := newSet(t, Config{}, a, b)
	set.Warm(t.Context(), app, func(*Source) Start { return Start{Connections: 2, Most: 2, Token: true} })
	for deadline := time.Now().Add(10 * time.Second); second.Stats().Requests[registrytest.KindToken] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second source was not asked for a token")
		}
	}
	set.Close() // everything is done, or ends
	if n := first.Stats().Requests[registrytest.KindToken]; n != 0 {
		t.Errorf("the first source was asked for %d tokens", n)
	}
	if n, _ := set.Sources()[1].Warmed(); n != 2 {
		t.Errorf("%d connections to the second source", n)
	}
}

// TestWarmAsksNothingOfASourceThatCountsRequests opens connections, which are no
// requests.
func TestWarmAsksNothingOfASourceThatCountsRequests(t *testing.T) {
	_, a := serving(t, imageA)
	second, b := serving(t, imageA)
	set := newSet(t, Config{}, a, b)
	set.Warm(t.Context(), app, func(*Source) Start { return Start{Connections: 2, Most: 2} })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, _ := set.Sources()[1].Warmed(); n == 2 || time.Now().After(deadline) {
			break
		}
	}
	set.Close()
	if log := second.Stats().Log; len(log) > 0 {
		t.Errorf("the source was asked for %v", log)
	}
}
