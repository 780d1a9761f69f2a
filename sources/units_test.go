package sources

import (
	"strings"
	"testing"
	"time"
)

func TestSizeAndRateAreReadAsCurlAndWgetDo(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "4096B": 4096, "1.0": 1,
		"500K": 500 << 10, "500k": 500 << 10, "2M": 2 << 20, "2m": 2 << 20, "1G": 1 << 30, "1T": 1 << 40,
		"4MiB": 4 << 20, "4 MiB": 4 << 20, "0.5KiB": 512, "1.5m": 3 << 19,
		"1KB": 1000, "1.5MB": 1_500_000, "2GB": 2e9, "1TB": 1e12,
		"9223372036854775807": 1<<63 - 1,
	} {
		var size Size
		if err := size.UnmarshalText([]byte(text)); err != nil || int64(size) != want {
			t.Errorf("size %q = %d, %v; want %d", text, size, err, want)
		}
		var rate Rate
		if err := rate.UnmarshalText([]byte(text + "/s")); err != nil || int64(rate) != want {
			t.Errorf("rate %q/s = %d, %v; want %d", text, rate, err, want)
		}
	}
	rate := Rate(1)
	if err := rate.UnmarshalText([]byte("unlimited")); err != nil || rate != 0 {
		t.Errorf("unlimited = %d, %v", rate, err)
	}
}

func TestSizeRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"": "not a number", "fast": "not a number", "-1": "not a number", "+1": "not a number",
		".": "not a number", "1.2.3": "not a number", "1e6": "unknown unit", "0x10": "unknown unit",
		"1_000": "unknown unit", "5X": "unknown unit", "5MiBs": "unknown unit", "5iB": "unknown unit",
		"5Mb": "may mean bits", "5Mbit": "may mean bits", "5Kbps": "may mean bits",
		"0.0001K": "less than a byte", "9223372036854775808": "too large", "9999999T": "too large",
		"99999999999999999999.5": "too large", "5é": "unknown unit",
	} {
		size := Size(7)
		err := size.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "4MiB") {
			t.Errorf("size %q: %d, %v; want %q and the forms", text, size, err, why)
		}
		if size != 7 {
			t.Errorf("size %q changed the value to %d", text, size)
		}
	}
}

func TestDurationKnowsDays(t *testing.T) {
	for text, hours := range map[string]time.Duration{"30d": 720, "1.5d": 36, "0d": 0, "12h": 12, "106752d": -1, "-1d": -1, "d": -1, "1dd": -1, "1d2h": -1} {
		d := Duration{-time.Hour}
		if err := d.UnmarshalText([]byte(text)); d.Duration != hours*time.Hour || (err != nil) != (hours < 0) {
			t.Errorf("%s is %s, %v", text, d, err)
		}
	}
}

func TestSizeAndRateAreWrittenShort(t *testing.T) {
	for size, want := range map[Size]string{
		0: "0", 1: "1", 1000: "1000", 1 << 10: "1KiB", 1536: "1536", 4 << 20: "4MiB", 3 << 30: "3GiB", 1 << 60: "1048576TiB",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d = %q, want %q", int64(size), got, want)
		}
	}
	if got := Rate(0).String(); got != "unlimited" {
		t.Errorf("no limit = %q", got)
	}
	if got := Rate(2 << 20).String(); got != "2MiB/s" {
		t.Errorf("2 MiB/s = %q", got)
	}
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"4096", "4MiB", "1.5MB", "0.5k", "9223372036854775807", "99999T", "5Mb", ".", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again Size
		if size.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, _ := size.MarshalText()
		if err := again.UnmarshalText(written); size < 0 || err != nil || again != size {
			t.Fatalf("%q = %d, written %q, read %d, %v", text, size, written, again, err)
		}
	})
}

func FuzzRate(f *testing.F) {
	for _, seed := range []string{"unlimited", "500K/s", "2M", "1.5MB/s", "/s", "0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var rate, again Rate
		if rate.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, _ := rate.MarshalText()
		if err := again.UnmarshalText(written); rate < 0 || err != nil || again != rate {
			t.Fatalf("%q = %d, written %q, read %d, %v", text, rate, written, again, err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"90s", "1h30m", "-1s", "0", "9223372036854775807ns", "1e9h", "1.5µs", "30d", "-1d", "d", "106752d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, again Duration
		if d.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, _ := d.MarshalText()
		if err := again.UnmarshalText(written); d.Duration < 0 || err != nil || again != d {
			t.Fatalf("%q = %v, written %q, read %v, %v", text, d, written, again, err)
		}
	})
}
