package chart

// Lanes shows events over time, a lane for each mirror.
type Lanes struct {
	Title string
	End   float64 // seconds
	Lanes []Lane
}

// Lane is the requests to one mirror.
type Lane struct {
	Label  string
	Spans  []Span
	Stalls []Stall
}

// Span is a request: its start, its first byte and its end, in seconds.
type Span struct {
	Row             int // spans of one row do not overlap
	From, First, To float64
	Broken          bool // ended before its last byte
	Title           string
}

// Stall is a time, in seconds, in which a mirror had a request and sent nothing.
type Stall struct{ From, To float64 }

const (
	laneLeft  = 110.0
	laneRight = width - margin - 8.0
	rowHeight = 7.0
)

// SVG draws the picture.
func (l Lanes) SVG() string {
	c := newCanvas(l.Title)
	c.text(margin, c.y, "quiet", "start",
		"A box for each request, pale while it waits for its first byte. Red edge: broken off. Red frame: a request, and nothing came.")
	c.y += line
	top := c.y
	for i, lane := range l.Lanes {
		lane.draw(c, i, l.End)
	}
	c.axis(laneLeft, laneRight, top, l.End, "seconds")
	return c.svg()
}

func (l Lane) draw(c *canvas, i int, end float64) {
	x := func(at float64) float64 { return laneLeft + (laneRight-laneLeft)*min(at, end)/end }
	rows := 1
	for _, s := range l.Spans {
		rows = max(rows, s.Row+1)
		y := c.y + float64(s.Row)*rowHeight
		c.rect(x(s.From), y, x(s.First)-x(s.From), rowHeight-1, colour(i)+" wait", "")
		c.rect(x(s.First), y, x(s.To)-x(s.First)-0.7, rowHeight-1, colour(i), s.Title)
		if s.Broken {
			c.line(x(s.To), y, x(s.To), y+rowHeight-1, "edge")
		}
	}
	height := float64(rows) * rowHeight
	for _, s := range l.Stalls {
		c.rect(x(s.From), c.y-2, x(s.To)-x(s.From), height+3, "stall", "")
	}
	c.text(laneLeft-8, c.y+height/2+4, "", "end", l.Label)
	c.y += max(height, line) + 8
}
