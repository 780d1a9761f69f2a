package sources

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, 0 to 2^63-1. Its text is 4096, "500K", "4MiB" or
// "1.5MB": K, M, G and T (in either case, with or without iB) are powers of 1024,
// as in curl and wget; KB, MB, GB and TB are powers of 1000. Mb is an error, since
// it may mean bits.
type Size int64

// Rate is a number of bytes a second. Its text is that of a [Size], with or
// without "/s" at its end, or "unlimited". 0 is no limit.
type Rate int64

// String returns the shortest exact form, in powers of 1024: "4MiB", "1500".
func (s Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if m := Size(1) << (40 - 10*i); s != 0 && s%m == 0 {
			return strconv.FormatInt(int64(s/m), 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes the form of [Size.String].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size. An error leaves s unchanged.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := parseBytes(string(text))
	if err != nil {
		return fmt.Errorf("size %q: %w; write bytes as 4096, 500K, 4MiB or 1.5MB", text, err)
	}
	*s = Size(n)
	return nil
}

// String returns "unlimited" or the shortest exact form: "2MiB/s".
func (r Rate) String() string {
	if r == 0 {
		return "unlimited"
	}
	return Size(r).String() + "/s"
}

// MarshalText writes the form of [Rate.String].
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a rate. An error leaves r unchanged.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "unlimited" {
		*r = 0
		return nil
	}
	n, err := parseBytes(strings.TrimSuffix(string(text), "/s"))
	if err != nil {
		return fmt.Errorf("rate %q: %w; write bytes a second as 500K, 2M, 4MiB, 1.5MB, or unlimited", text, err)
	}
	*r = Rate(n)
	return nil
}

// Duration is a time that is not negative. Its text is that of
// time.ParseDuration, or days: "90s", "5m", "1h30m" or "30d". It is a struct so that the TOML
// decoder gives UnmarshalText an integer too, which is an error: it has no unit.
type Duration struct{ time.Duration }

// MarshalText writes the form of [time.Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration. An error leaves d unchanged.
func (d *Duration) UnmarshalText(text []byte) error {
	number, unit := string(text), time.Duration(1)
	if days, ok := strings.CutSuffix(number, "d"); ok {
		number, unit = days+"h", 24
	}
	t, err := time.ParseDuration(number)
	if err != nil || t < 0 || t > math.MaxInt64/unit {
		return fmt.Errorf("time %q: write it with its unit, as in \"90s\", \"5m\" or \"1h30m\"", text)
	}
	d.Duration = t * unit
	return nil
}

// parseBytes reads digits with at most one point, then a unit.
func parseBytes(s string) (int64, error) {
	number, unit := s, ""
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number, unit = s[:i], strings.TrimPrefix(s[i:], " ")
	}
	if number == "" {
		return 0, errors.New("not a number of bytes")
	}
	m, err := multiplier(unit)
	if err != nil {
		return 0, err
	}
	// Whole numbers stay exact; a float64 would lose bytes above 2^53.
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/m {
			return 0, errors.New("too large")
		}
		return n * m, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errors.New("not a number of bytes")
	}
	// The bound excludes 2^63 itself, which float64 cannot distinguish from 2^63-1.
	if f *= float64(m); f >= math.MaxInt64 {
		return 0, errors.New("too large")
	}
	if f > 0 && f < 1 { // must not become 0, which means no limit
		return 0, errors.New("less than a byte")
	}
	return int64(math.Round(f)), nil
}

// multiplier reads "", "B", or one of KMGT in either case, alone or followed
// by "iB" or "B".
func multiplier(unit string) (int64, error) {
	if unit == "" || unit == "B" {
		return 1, nil
	}
	power := strings.Index("KMGT", strings.ToUpper(unit[:1])) + 1
	base := int64(1024)
	switch unit[1:] {
	case "", "iB":
	case "B":
		base = 1000
	case "b", "bit", "bps":
		return 0, fmt.Errorf("unit %q may mean bits", unit)
	default:
		power = 0
	}
	if power == 0 {
		return 0, fmt.Errorf("unknown unit %q", unit)
	}
	m := base
	for range power - 1 {
		m *= base
	}
	return m, nil
}
