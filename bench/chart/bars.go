package chart

import "fmt"

// Bars compares values in groups. Each group has a scale of its own.
type Bars struct {
	Title  string
	Unit   string // of the values, as in "s"
	Groups []Group
}

// Group is the values with one scale.
type Group struct {
	Label string
	Mark  float64 // value at which a line is drawn, such as a bound; 0: none
	Bars  []Bar
}

// Bar is a value with its spread.
type Bar struct {
	Label    string
	Value    float64
	Min, Max float64
	Failed   string // the reason why there is no value; "": there is one
}

const (
	barLeft   = 110.0
	barRight  = width - 130.0
	barHeight = 14.0
	maxReason = 90 // characters of a failure's reason
)

// SVG draws the picture.
func (b Bars) SVG() string {
	c := newCanvas(b.Title)
	for _, g := range b.Groups {
		c.y += 6
		c.text(margin, c.y, "", "start", g.Label)
		c.y += 8
		g.draw(c, b.Unit)
	}
	return c.svg()
}

func (g Group) draw(c *canvas, unit string) {
	top := c.y
	scale := (barRight - barLeft) / g.longest()
	for i, bar := range g.Bars {
		base := c.y + barHeight - 3
		c.text(barLeft-8, base, "quiet", "end", bar.Label)
		if bar.Failed != "" {
			c.text(barLeft+4, base, "bad", "start", "failed: "+cut(bar.Failed, maxReason))
		} else {
			end := barLeft + bar.Value*scale
			c.rect(barLeft, c.y, bar.Value*scale, barHeight-2, colour(i), "")
			middle := c.y + barHeight/2 - 1
			c.line(barLeft+bar.Min*scale, middle, barLeft+bar.Max*scale, middle, "whisker")
			c.text(max(end, barLeft+bar.Max*scale)+6, base, "", "start", fmt.Sprintf("%.1f %s", bar.Value, unit))
		}
		c.y += barHeight + 2
	}
	if g.Mark > 0 {
		x := barLeft + g.Mark*scale
		c.line(x, top-2, x, c.y, "mark")
	}
	c.y += line / 2
}

func (g Group) longest() float64 {
	longest := g.Mark
	for _, bar := range g.Bars {
		if bar.Failed == "" {
			longest = max(longest, bar.Value, bar.Max)
		}
	}
	if longest == 0 {
		return 1
	}
	return longest
}

func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
