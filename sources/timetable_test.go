package sources

import (
	"testing"
	"time"
)

func TestTimetable(t *testing.T) {
	at := func(clock string) time.Time {
		parsed, err := time.ParseInLocation("2006-01-02 15:04", "2026-11-22 "+clock, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		text, now string
		rate      Rate
		until     string
	}{
		{"", "12:00", 0, ""},
		{"unlimited", "12:00", 0, ""},
		{"2M", "12:00", 2 << 20, ""},
		{"2M@08:00-18:00,unlimited", "07:59", 0, "08:00"},
		{"2M@08:00-18:00,unlimited", "08:00", 2 << 20, "18:00"},
		{"2M@08:00-18:00,unlimited", "18:00", 0, ""},
		{"500K@22:00-06:00, 4M", "23:30", 500 << 10, ""},
		{"500K@22:00-06:00, 4M", "05:59", 500 << 10, "06:00"},
		{"500K@22:00-06:00, 4M", "06:00", 4 << 20, "22:00"},
		{"1M@08:00-12:00,2M@10:00-14:00", "11:00", 1 << 20, "12:00"},
		{"1M@08:00-12:00,2M@10:00-14:00", "12:00", 2 << 20, "14:00"},
		{"1M@18:00-24:00", "23:59", 1 << 20, ""},
		{"1M@18:00-24:00", "00:00", 0, "18:00"},
	} {
		var tt Timetable
		if err := tt.UnmarshalText([]byte(test.text)); err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		rate, until := tt.At(at(test.now))
		want := at("00:00").AddDate(0, 0, 1)
		if test.until != "" {
			want = at(test.until)
		}
		if rate != test.rate || !until.Equal(want) {
			t.Errorf("%q at %s: %v until %v, want %v until %v", test.text, test.now, rate, until, test.rate, want)
		}
	}
}

func TestInvalidTimetables(t *testing.T) {
	for _, text := range []string{",", "2M,", "2M@", "2M@8", "2M@08:00", "2M@08:00-", "2M@25:00-26:00", "2M@08:00-08:00", "fast", "2M@08:00-18:00@x"} {
		tt := Constant(1)
		if err := tt.UnmarshalText([]byte(text)); err == nil || tt != Constant(1) {
			t.Errorf("%q became %v, %v", text, tt, err)
		}
	}
}

func FuzzTimetable(f *testing.F) {
	for _, seed := range []string{"2M@08:00-18:00,unlimited", "500K@22:00-06:00,4M", "0", "1@00:00-24:00"} {
		f.Add(seed, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		var tt Timetable
		if tt.UnmarshalText([]byte(text)) != nil {
			return
		}
		now := time.Unix(seconds%4e9, 0).UTC()
		if rate, until := tt.At(now); rate < 0 || !until.After(now) || until.Sub(now) > day {
			t.Errorf("%q at %v: %v until %v", text, now, rate, until)
		}
		again := Timetable{}
		if err := again.UnmarshalText([]byte(tt.String())); err != nil {
			t.Errorf("%q does not read its own form %q: %v", text, tt, err)
		}
	})
}
