package sources

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Timetable is a rate limit that may depend on the time of day. Its text is a list
// of rates with commas between them, each with or without the hours in which it
// holds: "2M", "2M@08:00-18:00,unlimited", "500K@22:00-06:00,4M". Hours are local
// time, 00:00 to 24:00, without the end; they may include midnight. The first rate
// that holds applies; if none does, there is no limit. The zero Timetable has no
// limit.
type Timetable struct{ text string }

// period is one entry of a timetable.
type period struct {
	rate     Rate
	from, to time.Duration // since midnight; equal: the whole day
}

const day = 24 * time.Hour

// Constant returns the timetable of a rate that never changes.
func Constant(r Rate) Timetable {
	if r == 0 {
		return Timetable{}
	}
	return Timetable{r.String()}
}

// At returns the rate that holds at t, in t's location, and when it may change: at
// the next midnight at the latest.
func (tt Timetable) At(t time.Time) (Rate, time.Time) {
	periods, _ := parsePeriods(tt.text)
	now := sinceMidnight(t)
	next := day
	for _, p := range periods {
		for _, edge := range []time.Duration{p.from, p.to} {
			if edge > now {
				next = min(next, edge)
			}
		}
	}
	year, month, date := t.Date()
	until := time.Date(year, month, date, 0, 0, int(next/time.Second), 0, t.Location())
	if i := slices.IndexFunc(periods, func(p period) bool { return p.holds(now) }); i >= 0 {
		return periods[i].rate, until
	}
	return 0, until
}

// Rates returns all rates of the timetable in their order; nil if it has none.
func (tt Timetable) Rates() []Rate {
	periods, _ := parsePeriods(tt.text)
	var rates []Rate
	for _, p := range periods {
		rates = append(rates, p.rate)
	}
	return rates
}

// sinceMidnight is the time that the clock shows, which differs from the time
// since midnight where clocks are put forward or back.
func sinceMidnight(t time.Time) time.Duration {
	hour, minute, second := t.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}

func (p period) holds(now time.Duration) bool {
	if p.from < p.to {
		return p.from <= now && now < p.to
	}
	return now >= p.from || now < p.to
}

// String returns the form in which the timetable was written.
func (tt Timetable) String() string {
	if tt.text == "" {
		return Rate(0).String()
	}
	return tt.text
}

// MarshalText writes the form of [Timetable.String].
func (tt Timetable) MarshalText() ([]byte, error) { return []byte(tt.String()), nil }

// UnmarshalText reads a timetable. An error leaves tt unchanged.
func (tt *Timetable) UnmarshalText(text []byte) error {
	periods, err := parsePeriods(string(text))
	if err != nil {
		return err
	}
	if len(periods) == 1 && periods[0] == (period{rate: periods[0].rate}) {
		*tt = Constant(periods[0].rate)
		return nil
	}
	*tt = Timetable{string(text)}
	return nil
}

func parsePeriods(text string) ([]period, error) {
	if text == "" {
		return nil, nil
	}
	var periods []period
	for _, entry := range strings.Split(text, ",") {
		p, err := parsePeriod(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		periods = append(periods, p)
	}
	return periods, nil
}

func parsePeriod(entry string) (p period, err error) {
	rate, hours, timed := strings.Cut(entry, "@")
	if err := p.rate.UnmarshalText([]byte(rate)); err != nil {
		return period{}, err
	}
	if !timed {
		return p, nil
	}
	from, to, ok := strings.Cut(hours, "-")
	if ok {
		p.from, err = parseClock(from)
	}
	if ok && err == nil {
		p.to, err = parseClock(to)
	}
	if !ok || err != nil || p.from == p.to {
		return period{}, fmt.Errorf("hours %q: write them as 08:00-18:00, local time", hours)
	}
	return p, nil
}

// parseClock reads a time of day, 00:00 to 24:00.
func parseClock(s string) (time.Duration, error) {
	if s == "24:00" {
		return 0, nil // the end of a day is the start of the next
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, err
	}
	return sinceMidnight(t), nil
}
