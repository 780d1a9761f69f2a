package main

import (
	"slices"
	"strings"
	"time"

	"github.com/segpull/segpull"
)

// mostBars is how many blobs have a bar at the same time.
const mostBars = 8

// bars draws a bar for each blob in transit, a bar for each image, and a line with
// the state of the sources.
type bars struct {
	screen  *screen
	colour  bool
	waiting string             // at the bottom until the first image is known
	images  []segpull.Progress // the last sample of each, in order of arrival
	sent    []segpull.Progress // the same of those on their way to an engine
}

func newBars(s *screen, colour bool, refs []string) *bars {
	b := &bars{screen: s, colour: colour, waiting: oneLine(say("resolving %s", strings.Join(refs, ", ")))}
	s.draw(b.lines())
	return b
}

func (b *bars) show(_ time.Time, e segpull.Event) {
	switch e := e.(type) {
	case segpull.Waiting:
		b.waiting = waitingLine(e)
		b.screen.draw(b.lines())
	case segpull.Resolved:
		b.images = sampled(b.images, segpull.Progress{Reference: e.Reference, Total: e.Size, Remaining: segpull.Duration{Duration: -1}})
		b.waiting = ""
		b.screen.print(resolvedLine(e), b.lines())
	case segpull.Progress:
		b.images, b.waiting = sampled(b.images, e), ""
		b.screen.draw(b.lines())
	case segpull.Sending:
		b.sent, b.waiting = sampled(b.sent, sendingOf(e)), ""
		b.screen.draw(b.lines())
	case segpull.Finished:
		b.drop(e.Result.Reference)
		b.screen.print(summary(e.Result), nil)
	case segpull.Failed:
		b.drop(e.Reference)
		b.screen.print(noticeLine(e, b.colour), b.lines())
	default:
		b.screen.print(noticeLine(e, b.colour), b.lines())
	}
}

func (b *bars) close() { b.screen.draw(nil) }

// sampled replaces the sample of an image, or adds it.
func sampled(images []segpull.Progress, p segpull.Progress) []segpull.Progress {
	for i := range images {
		if images[i].Reference == p.Reference {
			images[i] = p
			return images
		}
	}
	return append(images, p)
}

// drop removes the bars of an image.
func (b *bars) drop(reference string) {
	of := func(p segpull.Progress) bool {
		return p.Reference == reference || strings.HasPrefix(p.Reference, reference+" ") // see sampleOf
	}
	b.images, b.sent = slices.DeleteFunc(b.images, of), slices.DeleteFunc(b.sent, of)
}

// lines returns the lines at the bottom for the current size of the terminal. If there
// are too few rows, images have priority over blobs, and blobs over the sources.
func (b *bars) lines() []string {
	width, height := b.screen.size()
	columns := columnsFor(max(width-1, 1)) // terminals differ in what a full row does
	rows := height - 1                     // the last one is the cursor's
	if b.waiting != "" {
		return []string{fit(b.waiting, columns.width)}
	}
	var blobs, wholes []string
	for _, image := range b.images {
		wholes = append(wholes, paint(b.colour, bold, columns.whole(image)))
		for _, blob := range image.Blobs {
			if inFlight(blob) {
				blobs = append(blobs, columns.blob(blob))
			}
		}
	}
	for _, image := range b.sent {
		wholes = append(wholes, paint(b.colour, bold, columns.whole(image)))
	}
	wholes = wholes[:min(len(wholes), rows)]
	blobs = blobs[:min(len(blobs), mostBars, rows-len(wholes))]
	lines := append(blobs, wholes...)
	if s := columns.sources(b.images); s != "" && len(lines) < rows {
		lines = append(lines, s)
	}
	return lines
}

// inFlight reports whether bytes of a blob are in transit, or being verified.
func inFlight(b segpull.BlobProgress) bool {
	return b.Done > 0 && (b.Done < b.Size || b.Verified < b.Size)
}
