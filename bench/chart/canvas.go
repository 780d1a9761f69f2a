package chart

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

const (
	width    = 860 // of every picture, in pixels
	margin   = 16
	fontSize = 12
	line     = 18 // height of a line of text
)

// style has one class for each series, s0 to s7, filled in both schemes with
// colours of Okabe and Ito, which colour-blind people can distinguish.
const style = `
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.quiet { fill: #59636e; }
.bad { fill: #cf222e; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.mark { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3; fill: none; }
.edge { stroke: #cf222e; stroke-width: 2; }
.stall { fill: none; stroke: #cf222e; stroke-width: 1.5; }
.whisker { stroke: #1f2328; stroke-width: 1; }
.wait { opacity: .35; }
.s0 { fill: #0072b2; } .s1 { fill: #e69f00; } .s2 { fill: #009e73; } .s3 { fill: #cc79a7; }
.s4 { fill: #56b4e9; } .s5 { fill: #d55e00; } .s6 { fill: #b5a800; } .s7 { fill: #8c8c8c; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .bad { fill: #ff7b72; }
  .grid { stroke: #3d444d; }
  .mark, .whisker { stroke: #f0f6fc; }
  .edge, .stall { stroke: #ff7b72; }
  .s0 { fill: #3a9bdc; }
}
`

// series is the number of colours; further series repeat them.
const series = 8

func colour(i int) string { return fmt.Sprintf("s%d", i%series) }

// canvas collects the elements of a picture from top to bottom.
type canvas struct {
	body strings.Builder
	y    float64 // top of the next element
}

func newCanvas(title string) *canvas {
	c := &canvas{y: margin + fontSize}
	c.text(margin, c.y, "title", "start", title)
	c.y += line
	return c
}

// svg ends the picture. It has no background, so that the page's is visible.
func (c *canvas) svg() string {
	height := math.Ceil(c.y + margin/2)
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\">\n<style>%s</style>\n%s</svg>\n",
		width, height, width, height, style, c.body.String())
}

func (c *canvas) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(&c.body, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, escape(s))
}

// rect draws a rectangle; a pointer over it shows the title.
func (c *canvas) rect(x, y, w, h float64, class, title string) {
	fmt.Fprintf(&c.body, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"", x, y, max(w, 0.5), h, class)
	if title == "" {
		c.body.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&c.body, "><title>%s</title></rect>\n", escape(title))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.body, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class)
}

// legend names the series in one line.
func (c *canvas) legend(names []string) {
	x := float64(margin)
	for i, name := range names {
		c.rect(x, c.y-9, 10, 10, colour(i), "")
		c.text(x+14, c.y, "quiet", "start", name)
		x += 14 + float64(len(name))*6.6 + 16
	}
	c.y += line
}

// axis draws the seconds from 0 to end below the elements between top and c.y,
// from left to right.
func (c *canvas) axis(left, right, top, end float64, unit string) {
	step := tick(end)
	for at := 0.0; at <= end*1.0001; at += step {
		x := left + (right-left)*at/end
		c.line(x, top, x, c.y, "grid")
		c.text(x, c.y+14, "quiet", "middle", fmt.Sprintf("%.3g", at))
	}
	c.text(right, c.y+28, "quiet", "end", unit)
	c.y += 34
}

// tick is a round distance that divides a length into 4 to 10 parts.
func tick(length float64) float64 {
	if length <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(length/4)))
	for _, m := range []float64{5, 2, 1} {
		if length/(m*power) >= 4 {
			return m * power
		}
	}
	return power
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
