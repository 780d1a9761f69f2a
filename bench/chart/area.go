package chart

import (
	"fmt"
	"strings"
)

// Area stacks several series over time.
type Area struct {
	Title  string
	Unit   string    // of the values, as in "MiB/s"
	Step   float64   // seconds between two values. 0: one second
	Mark   []float64 // a line to compare with, a value for each step; nil: none
	Series []Series
}

// Series is one of the values that Area stacks.
type Series struct {
	Label  string
	Values []float64
}

const areaHeight = 180.0

// SVG draws the picture.
func (a Area) SVG() string {
	c := newCanvas(a.Title)
	names := make([]string, len(a.Series))
	for i, s := range a.Series {
		names[i] = s.Label
	}
	c.legend(names)
	top, steps := c.y, a.steps()
	high := a.high()
	c.y += areaHeight
	x := func(i int) float64 { return laneLeft + (laneRight-laneLeft)*float64(i)/float64(steps) }
	y := func(v float64) float64 { return top + areaHeight*(1-v/high) }
	for v := 0.0; v <= high; v += tick(high) {
		c.line(laneLeft, y(v), laneRight, y(v), "grid")
		c.text(laneLeft-8, y(v)+4, "quiet", "end", fmt.Sprintf("%.3g %s", v, a.Unit))
	}
	below := make([]float64, steps)
	for i, s := range a.Series {
		above := make([]float64, steps)
		for j := range above {
			above[j] = below[j] + at(s.Values, j)
		}
		fmt.Fprintf(&c.body, "<path d=\"%s\" class=\"%s\"/>\n", band(below, above, x, y), colour(i))
		below = above
	}
	if a.Mark != nil {
		fmt.Fprintf(&c.body, "<path d=\"M%s\" class=\"mark\"/>\n", stairs(a.Mark, x, y))
	}
	step := a.Step
	if step == 0 {
		step = 1
	}
	c.axis(laneLeft, laneRight, c.y, step*float64(steps), "seconds")
	return c.svg()
}

func (a Area) steps() int {
	steps := max(1, len(a.Mark))
	for _, s := range a.Series {
		steps = max(steps, len(s.Values))
	}
	return steps
}

// high is a little more than the highest sum.
func (a Area) high() float64 {
	high := 0.0
	for i := range a.steps() {
		sum := 0.0
		for _, s := range a.Series {
			sum += at(s.Values, i)
		}
		high = max(high, sum, at(a.Mark, i))
	}
	if high == 0 {
		return 1
	}
	return high * 1.05
}

func at(values []float64, i int) float64 {
	if i < len(values) {
		return values[i]
	}
	return 0
}

// band is the outline of the area between two stairs.
func band(below, above []float64, x func(int) float64, y func(float64) float64) string {
	var b strings.Builder
	b.WriteString("M" + stairs(above, x, y))
	for i := len(below) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, " L%.1f,%.1f L%.1f,%.1f", x(i+1), y(below[i]), x(i), y(below[i]))
	}
	b.WriteString(" Z")
	return b.String()
}

func stairs(values []float64, x func(int) float64, y func(float64) float64) string {
	points := make([]string, 0, 2*len(values))
	for i, v := range values {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(i), y(v)), fmt.Sprintf("%.1f,%.1f", x(i+1), y(v)))
	}
	return strings.Join(points, " L")
}
