package main

import (
	"fmt"
	"strings"

	"github.com/cheggaaa/pb/v3"
)

// vt is a terminal that does only what the bars need: it wraps at its width, moves the
// cursor up, and erases. It does not scroll: it keeps all rows. The second cell of a
// wide character is 0.
type vt struct {
	width, height int
	rows          [][]rune
	x, y          int
}

func (t *vt) size() (int, int) { return t.width, t.height }

// resize wraps the text for a new width, as terminals do that reflow their text.
func (t *vt) resize(width int) {
	var rows [][]rune
	for _, row := range t.rows {
		for len(row) > width {
			rows = append(rows, row[:width])
			row = row[width:]
		}
		rows = append(rows, row)
	}
	t.rows, t.y, t.width = rows, t.y+len(rows)-len(t.rows), width
}

func (t *vt) Write(p []byte) (int, error) {
	for s := []rune(string(p)); len(s) > 0; {
		if s[0] == '\x1b' {
			s = t.order(s)
			continue
		}
		t.put(s[0])
		s = s[1:]
	}
	return len(p), nil
}

func (t *vt) put(r rune) {
	switch r {
	case '\r':
		t.x = 0
	case '\n':
		t.x, t.y = 0, t.y+1
		t.row()
	default:
		cells := append([]rune{r}, make([]rune, pb.CellCount(string(r))-1)...)
		if t.x+len(cells) > t.width {
			t.put('\n')
		}
		row := t.row()
		for len(*row) < t.x+len(cells) {
			*row = append(*row, ' ')
		}
		copy((*row)[t.x:], cells)
		t.x += len(cells)
	}
}

func (t *vt) row() *[]rune {
	for len(t.rows) <= t.y {
		t.rows = append(t.rows, nil)
	}
	return &t.rows[t.y]
}

// order executes one CSI sequence and returns the text after it.
func (t *vt) order(s []rune) []rune {
	end := strings.IndexAny(string(s[2:]), "AJKm") + 2
	switch row := t.row(); s[end] {
	case 'A':
		var n int
		fmt.Sscan(string(s[2:end]), &n)
		t.y = max(t.y-n, 0)
	case 'K':
		// After a full row the cursor is still on its last cell.
		t.x = min(t.x, t.width-1)
		*row = (*row)[:min(t.x, len(*row))]
	case 'J':
		*row = (*row)[:min(t.x, len(*row))]
		t.rows = t.rows[:t.y+1]
	}
	return s[end+1:]
}

// String returns the text on the screen, without the empty row of the cursor.
func (t *vt) String() string {
	var b strings.Builder
	for _, row := range t.rows {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(string(row), "\x00", ""), " ") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
