package lab

import (
	"math"
	"slices"
	"time"
)

// supply is what a mirror can serve: bytes a second, until it hangs.
type supply struct {
	rate  int64
	until time.Duration // after the start; 0: it never hangs
}

const forever = time.Duration(math.MaxInt64)

// lowerBound is the least time in which size bytes can come from the supplies
// together over a link of some bytes a second (0: no limit). It is forever if
// all supplies end earlier.
func lowerBound(size int64, link int64, supplies []supply) time.Duration {
	left, now := float64(size), time.Duration(0)
	for _, end := range ends(supplies) {
		rate := float64(rateAt(now, link, supplies))
		if took := left / rate; took <= (end - now).Seconds() {
			return now + time.Duration(took*float64(time.Second))
		}
		left -= rate * (end - now).Seconds()
		now = end
	}
	return forever
}

// ends are the times at which the sum of the supplies changes.
func ends(supplies []supply) []time.Duration {
	all := []time.Duration{forever}
	for _, s := range supplies {
		if s.until > 0 {
			all = append(all, s.until)
		}
	}
	slices.Sort(all)
	return all
}

// rateAt is the sum of the supplies just after a moment.
func rateAt(now time.Duration, link int64, supplies []supply) int64 {
	var sum int64
	for _, s := range supplies {
		if s.until == 0 || s.until > now {
			sum += s.rate
		}
	}
	if link > 0 {
		return min(link, sum)
	}
	return sum
}
