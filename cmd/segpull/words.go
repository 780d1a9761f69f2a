package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/segpull/segpull"
)

// The sentences that bars and plain lines share.

func waitingLine(e segpull.Waiting) string {
	return oneLine(say("resolving %s: waiting for %s ...", e.Reference, strings.Join(e.Sources, ", ")))
}

func resolvedLine(e segpull.Resolved) string {
	platform := e.Platform
	if platform == "all" {
		platform = say("all platforms")
	}
	if e.Source == "" { // no source resolves an image named by digest
		return oneLine(say("%s is %s: %s, %s", e.Reference, shortDigest(e.Digest), platform, bytesText(e.Size)))
	}
	return oneLine(say("%s is %s by %s: %s, %s", e.Reference, shortDigest(e.Digest), e.Source, platform, bytesText(e.Size)))
}

// noticeLine returns the line of an event that all views show, or "" for another event.
func noticeLine(e segpull.Event, colour bool) string {
	switch e := e.(type) {
	case segpull.Warning:
		return paint(colour, yellow, say("segpull: warning:")) + " " + translated(e.Message)
	case segpull.Stalled:
		return "segpull: " + oneLine(say("%s: no byte for %s: %s", e.Reference, durationText(e.Silent.Duration), translated(strings.Join(e.Reasons, "; "))))
	case segpull.Trouble:
		return "segpull: " + oneLine(e.Source+": ") + " " + translated(e.Message)
	case segpull.Failed:
		return paint(colour, red, "segpull:") + " " + translated(e.Message)
	}
	return ""
}

func progressLine(e segpull.Progress) string {
	s := say("%s: %s of %s, %s/s", e.Reference, percent(e.Done, e.Total), bytesText(e.Total), bytesText(e.Rate))
	if e.Remaining.Duration >= 0 {
		s += say(", %s left", untilText(e.Remaining.Duration))
	}
	return oneLine(s)
}

// sendingOf returns an event as the progress of an image, so that it is shown as such.
func sendingOf(e segpull.Sending) segpull.Progress {
	return segpull.Progress{Reference: sampleOf(e), Done: e.Done, Total: e.Total, Rate: e.Rate, Remaining: segpull.Duration{Duration: -1}}
}

func sendingLine(e segpull.Sending) string {
	if e.Done == 0 {
		return oneLine(say("sending %s", sampleOf(e)))
	}
	return oneLine(say("%s: %s of %s", sampleOf(e), percent(e.Done, e.Total), bytesText(e.Total)))
}

// delivered says who has the image now.
func delivered(r segpull.Result) (s string) {
	for _, d := range r.Delivered {
		if d.InRegistry() {
			s += say("; pushed to %s", d.Name)
		} else {
			s += say("; %s has it as %s", d.To, d.Name)
		}
	}
	return s
}

func summary(r segpull.Result) string {
	if r.UpToDate {
		if r.Path == "" {
			return oneLine(say("%s: %s is up to date", r.Reference, r.Delivered[0].Name))
		}
		return oneLine(say("%s: %s is up to date", r.Reference, r.Path) + delivered(r))
	}
	if r.Fetched == 0 && r.Resumed == 0 { // a server has fetched it
		return oneLine(say("%s: done in %s", r.Reference, durationText(r.Duration.Duration)) + delivered(r))
	}
	if r.Fetched == 0 {
		return oneLine(say("%s: done, all %s were there already", r.Reference, bytesText(r.Resumed)) + delivered(r))
	}
	s := say("%s: %s in %s (%s/s)", r.Reference, bytesText(r.Fetched), durationText(r.Duration.Duration),
		bytesText(perSecond(r.Fetched, r.Duration.Duration)))
	if shares := sharesText(r.Sources); shares != "" {
		s += say(" from %s", shares)
	}
	if r.FetchedTwice >= noticeable(r.Fetched) {
		s += say("; %s came twice", bytesText(r.FetchedTwice))
	}
	if r.Resumed > 0 {
		s += say("; %s were there already", bytesText(r.Resumed))
	}
	return oneLine(s + delivered(r))
}

// noticeable is how many of the bytes that were fetched have to come twice for the
// summary to say so. 64 KiB is less than handshakes, headers and manifests cost, which
// no figure here has. 1 % is less than the other figures show, until it is 1 MiB, which
// may cost money.
func noticeable(fetched int64) int64 { return max(64<<10, min(fetched/100, 1<<20)) }

func sharesText(shares []segpull.SourceShare) string {
	var total int64
	for _, s := range shares {
		total += s.Bytes
	}
	var parts []string
	for _, s := range shares {
		if s.Bytes > 0 {
			parts = append(parts, fmt.Sprintf("%s %.0f%%", s.Name, 100*float64(s.Bytes)/float64(total)))
		}
	}
	return strings.Join(parts, ", ")
}

// shortDigest returns the start of a digest, sha256:0123456789ab. Results and JSON have
// all of it.
func shortDigest(digest string) string {
	return digest[:min(len(digest), digestCells)]
}

func perSecond(n int64, d time.Duration) int64 {
	if d <= 0 {
		return n
	}
	return int64(float64(n) / d.Seconds())
}

// percent rounds down: 100% means that nothing is left.
func percent(done, total int64) string {
	if total <= 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%%", int64(100*(float64(done)/float64(total))))
}

// bytesText writes a size in at most eight cells: 28.2 MiB, 1023 B is 1.0 KiB.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		value /= 1024
		if value < 999.5 {
			break
		}
	}
	if value < 99.95 {
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}

// durationText writes a duration in at most six cells: 40ms, 3.1s, 42s, 3m05s, 2h05m, 4d03h.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d.Round(time.Second) < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d.Round(time.Minute) < day:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d < 99*day:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
	return ">99d"
}

// untilText writes a duration without tenths of a second, which would flicker.
func untilText(d time.Duration) string {
	if d < 9500*time.Millisecond {
		return fmt.Sprintf("%.0fs", max(d, 0).Seconds())
	}
	return durationText(d)
}

// oneLine makes one line of s without control sequences: errors quote
// servers.
func oneLine(s string) string {
	s = strings.NewReplacer("\r\n", "; ", "\n", "; ", "\t", " ").Replace(strings.TrimSpace(s))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}
