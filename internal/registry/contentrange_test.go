package registry

import (
	"fmt"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	for _, test := range []struct {
		in                string
		start, end, total int64
		ok                bool
	}{
		{"bytes 0-99/1234", 0, 100, 1234, true},
		{"bytes 100-1233/1234", 100, 1234, 1234, true},
		{"bytes 5-5/*", 5, 6, -1, true},
		{"BYTES  0-9/10 ", 0, 10, 10, true},
		{"0-99/1234", 0, 100, 1234, true}, // Nexus
		{in: ""},
		{in: "bytes"},
		{in: "bytes */1234"},
		{in: "bytes 0-99"},
		{in: "bytes 9-0/10"},
		{in: "bytes 0-10/10"},
		{in: "bytes +0-9/10"},
		{in: "bytes -1-9/10"},
		{in: "bytes 0-9/1e3"},
		{in: "bytes 0-9, 20-29/100"},
		{in: "items 0-9/10"},
		{in: "bytes 0-9223372036854775807/*"},
	} {
		start, end, total, ok := parseContentRange(test.in)
		if start != test.start || end != test.end || total != test.total || ok != test.ok {
			t.Errorf("%q: got %d-%d/%d %v", test.in, start, end, total, ok)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-99/1234", "0-99/1234", "bytes 5-5/*", "bytes */5", "bytes 0-9223372036854775807/9223372036854775807", "-/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, end, total, ok := parseContentRange(s)
		if !ok {
			return
		}
		if start < 0 || end <= start || (total >= 0 && end > total) {
			t.Errorf("%q: %d-%d/%d", s, start, end, total)
		}
		size := "*"
		if total >= 0 {
			size = fmt.Sprint(total)
		}
		written := fmt.Sprintf("bytes %d-%d/%s", start, end-1, size)
		if a, b, n, ok := parseContentRange(written); a != start || b != end || n != total || !ok {
			t.Errorf("%q, written %q: %d-%d/%d", s, written, a, b, n)
		}
	})
}
