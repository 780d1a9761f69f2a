package serve

import (
	"strconv"
	"strings"

	"github.com/segpull/segpull/segment"
)

// parseRange reads a Range header for a blob of size bytes (RFC 9110, section 14.2).
// asked is false where the whole blob is the answer: without a header, for another unit,
// for several ranges, and where the header is invalid. ok is false if no byte of the
// range exists.
func parseRange(header string, size int64) (r segment.Range, asked, ok bool) {
	whole := segment.Range{End: size}
	spec, found := strings.CutPrefix(strings.ToLower(header), "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !dash {
		return whole, false, true
	}
	start, startOK := parseDigits(first)
	end, endOK := parseDigits(last)
	switch {
	case first == "" && endOK: // the last bytes
		return segment.Range{Start: max(0, size-end), End: size}, true, end > 0
	case startOK && last == "":
		return segment.Range{Start: start, End: size}, true, start < size
	case startOK && endOK && start <= end:
		return segment.Range{Start: start, End: min(end, size-1) + 1}, true, start < size
	}
	return whole, false, true
}

// parseDigits is strconv.ParseInt without signs. It leaves room to add one.
func parseDigits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err == nil
}
