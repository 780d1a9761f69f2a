package main

import (
	"math"
	"slices"
	"time"
)

// supply is what a mirror can give: bytes a second, until it gives out.
type supply struct {
	rate  int64
	until time.Duration // after the start; 0: for good
}

// lowerBound is the least time in which size bytes can come from the supplies
// together over a link of some bytes a second (0: no limit). It is infinite
// if they give out before.
func lowerBound(size int64, link int64, supplies []supply) time.Duration {
	ends := []time.Duration{forever}
	for _, s := range supplies {
		if s.until > 0 {
			ends = append(ends, s.until)
		}
	}
	slices.Sort(ends)
	left, now := float64(size), time.Duration(0)
	for _, end := range ends {
		rate := float64(rateAt(now, link, supplies))
		if took := left / rate; took <= (end - now).Seconds() {
			return now + time.Duration(took*float64(time.Second))
		}
		left -= rate * (end - now).Seconds()
		now = end
	}
	return forever
}

const forever = time.Duration(math.MaxInt64)

// rateAt is what the supplies give together just after a moment.
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
