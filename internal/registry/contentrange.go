package registry

import (
	"strconv"
	"strings"
)

// parseContentRange reads "bytes 0-99/1234" or "bytes 0-99/*" (RFC 9110,
// section 14.4) as the half-open range [start, end) of total bytes, where -1
// means "*". The unit "bytes" may be missing, as in answers of Sonatype Nexus
// (sonatype/nexus-public#24).
func parseContentRange(s string) (start, end, total int64, ok bool) {
	s = strings.TrimSpace(s)
	if unit, rest, found := strings.Cut(s, " "); found {
		if !strings.EqualFold(unit, "bytes") {
			return 0, 0, 0, false
		}
		s = strings.TrimSpace(rest)
	}
	span, size, _ := strings.Cut(s, "/")
	first, last, _ := strings.Cut(span, "-")
	start, ok1 := parseDigits(first)
	end, ok2 := parseDigits(last)
	total, ok3 := parseDigits(size)
	if size == "*" {
		total, ok3 = -1, true
	}
	end++
	if !ok1 || !ok2 || !ok3 || end <= start || (total >= 0 && end > total) {
		return 0, 0, 0, false
	}
	return start, end, total, true
}

// parseDigits is strconv.ParseInt without signs. It leaves room to add one.
func parseDigits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err == nil
}
