//go:build race

package segment

import "testing"

// simulates skips a test that only runs simulations: they have one goroutine, and the
// race detector makes them many times slower.
func simulates(t *testing.T) {
	t.Helper()
	t.Skip("a simulation has one goroutine: run it without -race")
}
