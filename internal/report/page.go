package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"github.com/segpull/segpull"
)

// Outcome is how the pull ended, and the arguments of the command that made it.
type Outcome struct {
	Args    []string // without the program; Write removes secrets
	Failure string   // one line; "" if the pull succeeded
}

// WriteFile writes the page to a file, which it replaces.
func (r *Recorder) WriteFile(path string, o Outcome) error {
	var page bytes.Buffer
	if err := r.Write(&page, o); err != nil {
		return err
	}
	return os.WriteFile(path, page.Bytes(), 0o644)
}

//go:embed page.html
var pageHTML string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// Write writes the page of a pull that has ended now.
func (r *Recorder) Write(w io.Writer, o Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return pageTemplate().Execute(w, r.page(time.Now(), o))
}

// page is what the template shows.
type page struct {
	Title, Failure, Began, Took, Command string
	Images                               []imageRow
	Sources                              []sourceRow
	Lanes, Throughput                    picture
	Layers                               []layersOf
	Messages                             []messageRow
	Omitted, NotDrawn                    int
}

type imageRow struct {
	Name, Digest, Platform, Size, Fetched, Resumed, State string

	Places []string // files, engines and registries that have the image
}

type sourceRow struct {
	Colour, Name, Bytes, Share, State string
	Requests, Problems                int
}

// layersOf is the picture of an image's layers.
type layersOf struct {
	Name    string
	Picture picture
}

type messageRow struct {
	At, Text string
	Bad      bool
	Times    int
}

func (r *Recorder) page(ended time.Time, o Outcome) page {
	p := page{
		Title:      "segpull",
		Failure:    withoutSecrets(o.Failure),
		Began:      r.began.Format("2006-01-02 15:04:05 MST"),
		Took:       seconds(ended.Sub(r.began)),
		Command:    commandLine(o.Args),
		Lanes:      r.lanes(ended),
		Throughput: r.throughput(ended),
		Omitted:    r.omitted,
		NotDrawn:   max(0, r.requests-mostRequests),
	}
	var names []string
	for _, i := range r.images {
		names = append(names, withoutSecrets(i.Reference))
		p.Images = append(p.Images, i.row())
		if layers := r.layers(i); layers.Height > 0 {
			p.Layers = append(p.Layers, layersOf{withoutSecrets(i.Reference), layers})
		}
	}
	if len(names) > 0 {
		p.Title += ": " + strings.Join(names, ", ")
	}
	var total int64
	for _, s := range r.sources {
		total += s.bytes
	}
	for n, s := range r.sources {
		p.Sources = append(p.Sources, sourceRow{
			colour(n), withoutSecrets(s.name), size(s.bytes), share(s.bytes, total), s.last(), s.made, s.troubled,
		})
	}
	for _, m := range r.messages {
		p.Messages = append(p.Messages, messageRow{seconds(m.at.Sub(r.began)), withoutSecrets(m.text), m.bad, m.times})
	}
	return p
}

func (i *image) row() imageRow {
	row := imageRow{
		Name: withoutSecrets(i.Reference), Digest: i.Digest, Platform: i.Platform, Size: size(i.Size),
		Resumed: size(i.progress.Resumed), Fetched: size(i.progress.Done - i.progress.Resumed), State: "incomplete",
	}
	if i.Path != "" {
		row.Places = []string{withoutSecrets(i.Path)}
	}
	if i.failed != "" {
		row.State = "failed"
	}
	if i.result == nil {
		return row
	}
	row.Fetched, row.Resumed, row.State = size(i.result.Fetched), size(i.result.Resumed), "complete"
	for _, d := range i.result.Delivered {
		row.Places = append(row.Places, withoutSecrets(placeOf(d)))
	}
	if i.result.UpToDate {
		row.State = "was up to date"
	}
	return row
}

// placeOf says who has the image.
func placeOf(d segpull.Delivery) string {
	if d.InRegistry() {
		return d.Name
	}
	return d.To + ": " + d.Name
}

// last is the state in which the pull left a source: corrupt, off, or "".
func (s *source) last() string {
	switch n := len(s.states); {
	case len(s.corrupt) > 0:
		return "sent wrong bytes"
	case n > 0 && s.states[n-1].to.IsZero():
		return s.states[n-1].text
	}
	return ""
}

// seconds writes a time with a tenth of a second, or without for a long one.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func size(bytes int64) string {
	return units.CustomSize("%.4g %s", float64(bytes), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

func share(part, total int64) string {
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(max(total, 1)))
}

// series is the number of colours; further sources repeat them.
const series = 8

func colour(i int) string { return fmt.Sprintf("s%d", i%series) }

// byBegin sorts requests by when they began.
func byBegin(requests []request) []request {
	return slices.SortedFunc(slices.Values(requests), func(a, b request) int {
		return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to))
	})
}
