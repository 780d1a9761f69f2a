package soak

import (
	"math"
	"math/rand/v2"
	"time"
)

// dice decide what a round does: the same seed, the same round.
type dice struct{ *rand.Rand }

func newDice(seed, number uint64) dice { return dice{rand.New(rand.NewPCG(seed, number))} }

func (d dice) chance(p float64) bool { return d.Float64() < p }

// among is a number from lo to hi.
func (d dice) among(lo, hi int) int { return lo + d.IntN(hi-lo+1) }

// size is a number of bytes from lo to hi, each order of magnitude as often as
// any other.
func (d dice) size(lo, hi int64) int64 {
	return int64(float64(lo) * math.Pow(float64(hi)/float64(lo), d.Float64()))
}

// span is size for times.
func (d dice) span(lo, hi time.Duration) time.Duration {
	return time.Duration(d.size(int64(lo), int64(hi))).Round(time.Microsecond)
}

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }
