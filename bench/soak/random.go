package soak

import (
	"math"
	"math/rand/v2"
	"time"
)

// random decides what a round does: the same seed makes the same round.
type random struct{ *rand.Rand }

func newRandom(seed, number uint64) random { return random{rand.New(rand.NewPCG(seed, number))} }

func (rnd random) chance(p float64) bool { return rnd.Float64() < p }

// between is a number from lo to hi.
func (rnd random) between(lo, hi int) int { return lo + rnd.IntN(hi-lo+1) }

// size is a number of bytes from lo to hi, each order of magnitude with the
// same probability.
func (rnd random) size(lo, hi int64) int64 {
	return int64(float64(lo) * math.Pow(float64(hi)/float64(lo), rnd.Float64()))
}

// duration is size for times.
func (rnd random) duration(lo, hi time.Duration) time.Duration {
	return time.Duration(rnd.size(int64(lo), int64(hi))).Round(time.Microsecond)
}

func pick[T any](rnd random, from ...T) T { return from[rnd.IntN(len(from))] }
