package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/segpull/segpull"
)

const (
	width   = 960.0 // of every picture; the page scales it
	margin  = 8.0
	text    = 18.0 // height of a line of text
	row     = 6.0  // height of a request
	maxRows = 16   // of a lane; more requests at the same time overlap
	between = 14.0 // lanes

	mostBuckets = 240 // columns of the throughput
	areaHeight  = 160.0
	axisLeft    = 90.0

	mostBlobs = 40 // of an image, that the page draws
	blobLeft  = 230.0
)

// picture is an SVG: shapes, then labels.
type picture struct {
	Name          string // for readers who do not see it
	Width, Height float64
	Shapes        []shape
	Labels        []label
}

type shape struct {
	X, Y, W, H string
	Class      string
	Title      string // that a pointer shows
}

type label struct {
	X, Y          string
	Class, Anchor string
	Text          string
}

func px(v float64) string { return fmt.Sprintf("%.1f", v) }

func (p *picture) rect(x, y, w, h float64, class, title string) {
	p.Shapes = append(p.Shapes, shape{px(x), px(y), px(max(w, 0.5)), px(h), class, title})
}

func (p *picture) label(x, y float64, class, anchor, text string) {
	p.Labels = append(p.Labels, label{px(x), px(y), class, anchor, text})
}

// clock returns the function from a time to its place between left and the right margin.
func (r *Recorder) clock(left float64, ended time.Time) func(time.Time) float64 {
	whole := max(ended.Sub(r.began), time.Millisecond)
	return func(t time.Time) float64 {
		at := min(max(t.Sub(r.began), 0), whole)
		return left + (width-margin-left)*float64(at)/float64(whole)
	}
}

// timeAxis draws the seconds below y.
func (p *picture) timeAxis(left, top, y float64, whole time.Duration) {
	step := tick(whole.Seconds())
	for s := 0.0; s <= whole.Seconds()*1.0001; s += step {
		x := left + (width-margin-left)*s/max(whole.Seconds(), 1e-3)
		p.rect(x, top, 1, y-top, "grid", "")
		p.label(x, y+text-4, "quiet", "middle", fmt.Sprintf("%g s", math.Round(s*1000)/1000))
	}
	p.Height = y + text + 4
}

// tick is a round number of which about eight make up the whole.
func tick(whole float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(max(whole, 1e-3)/8)))
	for _, f := range []float64{1, 2, 5} {
		if whole/(base*f) <= 8 {
			return base * f
		}
	}
	return base * 10
}

// lanes draws a lane for each source.
func (r *Recorder) lanes(ended time.Time) picture {
	p := picture{Name: "The requests to each mirror over time", Width: width}
	x := r.clock(margin, ended)
	y := text
	for n, s := range r.sources {
		y = r.lane(&p, s, n, x, y, ended)
	}
	for _, s := range r.stalls {
		p.rect(x(s.from), text/2, x(end(s, ended))-x(s.from), y-text, "stall", s.text)
	}
	for _, i := range r.images {
		p.rect(x(i.at), 2, 1.5, y-2, "mark", withoutSecrets(i.Reference)+" was resolved at "+seconds(i.at.Sub(r.began)))
	}
	p.timeAxis(margin, 2, y, ended.Sub(r.began))
	return p
}

func end(s span, ended time.Time) time.Time {
	if s.to.IsZero() {
		return ended
	}
	return s.to
}

// lane draws the requests of a source below y, and returns where the lane ends.
func (r *Recorder) lane(p *picture, s *source, n int, x func(time.Time) float64, y float64, ended time.Time) float64 {
	rows, places := pack(byBegin(s.requests))
	top := y + 6
	height := float64(max(rows, 1)) * row
	about := size(s.bytes) + ", " + count(s.made, "request")
	if s.troubled > 0 {
		about += ", " + count(s.troubled, "problem")
	}
	if last := s.last(); last != "" {
		about += ", " + last
	}
	p.rect(margin, y-9, 10, 10, colour(n), "")
	p.label(margin+16, y, "", "start", withoutSecrets(s.name)+": "+about)
	p.rect(margin, top, width-2*margin, height, "lane", "")
	for _, state := range s.states {
		p.rect(x(state.from), top, x(end(state, ended))-x(state.from), height, "state "+state.text,
			fmt.Sprintf("%s is %s from %s on", withoutSecrets(s.name), state.text, seconds(state.from.Sub(r.began))))
	}
	for k, requests := range places {
		r.row(p, requests, colour(n), x, top+float64(k)*row)
	}
	for _, t := range s.problems {
		p.rect(x(t.from)-1, top-4, 2, 6, "failed", "at "+seconds(t.from.Sub(r.began))+": "+withoutSecrets(t.text))
	}
	for _, c := range s.corrupt {
		p.rect(x(c.from)-1, top, 3, height, "bad", "wrong bytes: "+withoutSecrets(c.text))
	}
	return top + height + between
}

// pack puts requests that run at the same time into different rows.
func pack(requests []request) (rows int, places [maxRows][]request) {
	for _, q := range requests {
		best := -1
		for k := range maxRows {
			if n := len(places[k]); n == 0 || !places[k][n-1].to.After(q.from) {
				best = k
				break
			}
			if best < 0 || places[k][len(places[k])-1].to.Before(places[best][len(places[best])-1].to) {
				best = k
			}
		}
		places[best] = append(places[best], q)
		rows = max(rows, best+1)
	}
	return rows, places
}

// row draws the requests of one row. Those that would be a pixel or two wide become one
// with their neighbours, unless they failed.
func (r *Recorder) row(p *picture, requests []request, class string, x func(time.Time) float64, y float64) {
	for i := 0; i < len(requests); {
		first, last, bytes := requests[i], requests[i], requests[i].Bytes
		n := 1
		for i+n < len(requests) && first.Error == "" && requests[i+n].Error == "" && x(requests[i+n].to)-x(first.from) < 3 {
			last = requests[i+n]
			bytes += last.Bytes
			n++
		}
		i += n
		if n > 1 {
			p.rect(x(first.from), y, x(last.to)-x(first.from), row-1, class, fmt.Sprintf("%d requests, %s", n, size(bytes)))
			continue
		}
		title := first.title(r.began)
		if first.Error != "" {
			p.rect(x(first.from), y, max(x(first.to)-x(first.from), 2), row-1, "failed", title)
			continue
		}
		p.rect(x(first.from), y, x(first.answered)-x(first.from), row-1, class+" waits", title)
		p.rect(x(first.answered), y, x(first.to)-x(first.answered), row-1, class, title)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (q request) title(began time.Time) string {
	s := fmt.Sprintf("at %s: %s of %.19s at %s; answer after %s, %s in %s", seconds(q.from.Sub(began)),
		size(q.End-q.Start), q.Digest, size(q.Start), seconds(q.Waited.Duration), size(q.Bytes), seconds(q.Duration.Duration))
	if q.Error != "" {
		s += "; failed: " + withoutSecrets(q.Error)
	}
	return s
}

// throughput draws the bytes of each second, those of the sources on top of each other.
func (r *Recorder) throughput(ended time.Time) picture {
	p := picture{Name: "Throughput over time", Width: width}
	whole := ended.Sub(r.began)
	step := int(math.Ceil(max(whole.Seconds(), 1) / mostBuckets)) // seconds in a column
	columns := int(math.Ceil(max(whole.Seconds(), 1) / float64(step)))
	sums, high := make([][]int64, len(r.sources)), int64(1)
	total := make([]int64, columns+1)
	for n, s := range r.sources {
		sums[n] = make([]int64, columns+1)
		for second, bytes := range s.seconds {
			sums[n][min(second/step, columns)] += bytes / int64(step)
			total[min(second/step, columns)] += bytes / int64(step)
		}
	}
	high = max(high, slices.Max(total))
	x := r.clock(axisLeft, ended)
	bottom := margin + areaHeight
	for v := 0.0; v <= float64(high); v += binaryTick(high) {
		y := bottom - areaHeight*v/float64(high)
		p.rect(axisLeft, y, width-margin-axisLeft, 1, "grid", "")
		p.label(axisLeft-6, y+4, "quiet", "end", size(int64(v))+"/s")
	}
	for c := range total {
		from := r.began.Add(time.Duration(c*step) * time.Second)
		left, right := x(from), x(from.Add(time.Duration(step)*time.Second))
		y := bottom
		for n := range sums {
			if sums[n][c] == 0 {
				continue
			}
			h := areaHeight * float64(sums[n][c]) / float64(high)
			y -= h
			p.rect(left, y, right-left, h, colour(n), fmt.Sprintf("%s at %s: %s/s", withoutSecrets(r.sources[n].name), seconds(from.Sub(r.began)), size(sums[n][c])))
		}
	}
	p.timeAxis(axisLeft, margin, bottom, whole)
	return p
}

// binaryTick is a power of two of which four to eight make up the whole.
func binaryTick(whole int64) float64 {
	return math.Pow(2, math.Ceil(math.Log2(max(float64(whole), 1)/8)))
}

// layers draws which source sent which part of each blob.
func (r *Recorder) layers(i *image) picture {
	p := picture{Name: "Which mirror sent which part of each layer", Width: width}
	blobs := slices.Clone(i.Blobs)
	slices.SortStableFunc(blobs, func(a, b segpull.BlobInfo) int { return cmp.Compare(b.Size, a.Size) })
	y := margin
	for n, b := range blobs {
		if n == mostBlobs {
			p.label(margin, y+text-6, "quiet", "start", fmt.Sprintf("and %d smaller ones", len(blobs)-n))
			y += text
			break
		}
		scale := max((width-margin-blobLeft)*float64(b.Size)/float64(max(blobs[0].Size, 1)), 4) / float64(max(b.Size, 1))
		p.label(margin, y+text-6, "quiet", "start", fmt.Sprintf("%.19s", b.Digest))
		p.label(blobLeft-8, y+text-6, "quiet", "end", size(b.Size))
		p.rect(blobLeft, y+2, float64(b.Size)*scale, text-5, "lane", size(b.Size)+"; parts without a colour were there before, or are missing")
		for _, corrupt := range []bool{true, false} { // others have replaced what corrupt mirrors sent
			for k, s := range r.sources {
				if corrupt != (len(s.corrupt) > 0) {
					continue
				}
				for _, run := range s.sent(b.Digest, 1/scale) {
					p.rect(blobLeft+float64(run[0])*scale, y+2, float64(run[1]-run[0])*scale, text-5, colour(k),
						fmt.Sprintf("%s: %s from %s on", withoutSecrets(s.name), size(run[1]-run[0]), size(run[0])))
				}
			}
		}
		y += text
	}
	p.Height = y + margin
	return p
}

// sent returns the runs of bytes of a blob that the source sent, in order. It joins runs
// between which there are fewer than gap bytes, and leaves out shorter ones.
func (s *source) sent(digest string, gap float64) (runs [][2]int64) {
	var parts [][2]int64
	for _, q := range s.requests {
		if q.Digest == digest && q.Bytes > 0 {
			parts = append(parts, [2]int64{q.Start, q.Start + q.Bytes})
		}
	}
	slices.SortFunc(parts, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	for _, part := range parts {
		if n := len(runs); n > 0 && float64(part[0]-runs[n-1][1]) < gap {
			runs[n-1][1] = max(runs[n-1][1], part[1])
		} else {
			runs = append(runs, part)
		}
	}
	return slices.DeleteFunc(runs, func(r [2]int64) bool { return float64(r[1]-r[0]) < gap/4 })
}
