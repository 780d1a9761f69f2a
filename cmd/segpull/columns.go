package main

import (
	"fmt"
	"strings"

	"github.com/cheggaaa/pb/v3"

	"github.com/segpull/segpull"
)

const (
	digestCells = len("sha256:0123456789ab")
	nameCells   = digestCells

	// A bar between its name and its text. ASCII, because terminals in East Asia
	// draw box characters two cells wide.
	barTemplate = `{{string . "name"}} {{bar . "[" "=" ">" " " "]"}} {{string . "tail"}}`
)

// columns formats the lines of the bars for one width: a narrow terminal has a shorter
// text after the bar.
type columns struct {
	width int
	tail  int // cells after the bar
	sizes bool
	rates bool
}

func columnsFor(width int) columns {
	switch {
	case width >= 76:
		return columns{width, pb.CellCount(say("%4s of %8s", "100%", "99.9 MiB") + "  99.9 MiB/s  " + say("%s left", "59m59s")), true, true}
	case width >= 58:
		return columns{width, pb.CellCount("100%  99.9 MiB/s  " + say("%s left", "59m59s")), false, true}
	}
	return columns{width, len("100% 59m59s"), false, false}
}

// blob returns the line of one blob.
func (c columns) blob(b segpull.BlobProgress) string {
	tail := c.share(b.Done, b.Size)
	if b.Done == b.Size {
		tail = say("%s check", tail)
	}
	return c.bar(shortDigest(b.Digest), b.Done, b.Size, tail)
}

// whole returns the line of one image.
func (c columns) whole(p segpull.Progress) string {
	tail, left := c.share(p.Done, p.Total), ""
	known := p.Remaining.Duration >= 0 && p.Done < p.Total
	switch {
	case known && c.rates:
		left = say("%s left", untilText(p.Remaining.Duration))
	case known:
		tail += " " + untilText(p.Remaining.Duration)
	}
	if c.rates {
		tail += fmt.Sprintf("  %10s  %s", bytesText(p.Rate)+"/s", left)
	}
	return c.bar(fitEnd(oneLine(p.Reference), nameCells), p.Done, p.Total, tail)
}

func (c columns) share(done, total int64) string {
	if c.sizes {
		return say("%4s of %8s", percent(done, total), bytesText(total))
	}
	return fmt.Sprintf("%4s", percent(done, total))
}

// bar returns a name, a bar and a tail in exactly the width, or cut to it.
func (c columns) bar(name string, done, total int64, tail string) string {
	line := pb.New64(total).
		SetCurrent(done).
		SetWidth(c.width).
		SetTemplateString(barTemplate).
		Set("name", pad(name, nameCells)).
		Set("tail", pad(tail, c.tail)).
		String()
	return strings.TrimRight(line, " ")
}

// sources returns the line with the state of each source, or "" if there is only one.
func (c columns) sources(images []segpull.Progress) string {
	if len(images) == 0 {
		return ""
	}
	sources := images[len(images)-1].Sources
	if len(sources) < 2 {
		return ""
	}
	parts := make([]string, len(sources))
	for i, s := range sources {
		parts[i] = s.Name + " " + say(s.State)
		if s.State == "active" || s.Rate > 0 {
			parts[i] = s.Name + " " + bytesText(s.Rate) + "/s"
		}
	}
	return fit(oneLine(say("from %s", strings.Join(parts, ", "))), c.width)
}

// fit cuts off the end of s if it is longer than width cells.
func fit(s string, width int) string {
	if pb.CellCount(s) <= width {
		return s
	}
	return strings.TrimRight(pb.StripString(s, max(width-2, 0)), " ") + ".."
}

// fitEnd cuts off the beginning of s: the end of a reference, with its tag, is more
// useful.
func fitEnd(s string, width int) string {
	if pb.CellCount(s) <= width {
		return s
	}
	end := []rune(s)
	for pb.CellCount(string(end)) > width-2 {
		end = end[1:]
	}
	return ".." + string(end)
}
