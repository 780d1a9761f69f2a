package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/cheggaaa/pb/v3"
)

// screen keeps some lines at the bottom of a terminal, while others scroll above
// them. Between two calls the cursor is below the last line.
type screen struct {
	out   io.Writer
	size  func() (width, height int)
	lines []string // at the bottom now
}

// draw replaces the lines at the bottom. Each must fit the width.
func (s *screen) draw(lines []string) { s.update("", lines) }

// print prints a line that scrolls, and replaces the lines at the bottom below it.
func (s *screen) print(line string, lines []string) { s.update(line, lines) }

// update makes one write, and overwrites the bottom lines instead of erasing them
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

// rows returns the number of rows of the bottom lines: a terminal that has become
// narrower has wrapped them.
func (s *screen) rows() int {
	width, _ := s.size()
	rows := 0
	for _, line := range s.lines {
		rows += max(1, (pb.CellCount(line)+width-1)/width)
	}
	return rows
}
