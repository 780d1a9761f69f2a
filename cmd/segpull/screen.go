package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/cheggaaa/pb/v3"
)

// screen keeps some lines at the foot of a terminal, and lets others scroll
// by above them. Between two calls the cursor is below the last line.
type screen struct {
	out   io.Writer
	size  func() (width, height int)
	lines []string // at the foot now
}

// draw replaces the lines at the foot. Each must fit the width.
func (s *screen) draw(lines []string) { s.update("", lines) }

// print lets a line scroll by above the foot, which becomes lines.
func (s *screen) print(line string, lines []string) { s.update(line, lines) }

// update does it in one write, and overwrites the foot rather than erase it
// first, so that nothing flickers.
func (s *screen) update(above string, lines []string) {
	if above == "" && len(lines)+len(s.lines) == 0 {
		return
	}
	var b strings.Builder
	if rows := s.rows(); rows > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", rows)
	}
	if above != "" {
		b.WriteString("\x1b[J" + above + "\n") // it may wrap
	}
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.out, b.String())
	s.lines = lines
}

// rows is how many rows the foot takes: terminals that were made narrower
// have wrapped its lines.
func (s *screen) rows() int {
	width, _ := s.size()
	rows := 0
	for _, line := range s.lines {
		rows += max(1, (pb.CellCount(line)+width-1)/width)
	}
	return rows
}
