package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/segpull/segpull"
)

// jsonView prints one event per line; doc.go describes them.
type jsonView struct{ enc *json.Encoder }

func newJSONView(out io.Writer) jsonView {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return jsonView{enc}
}

func (v jsonView) close() {}

func (v jsonView) show(at time.Time, e segpull.Event) {
	switch e := e.(type) {
	case segpull.Waiting:
		v.enc.Encode(waitingJSON{head("waiting", at), e.Reference, e.Sources})
	case segpull.Resolved:
		v.enc.Encode(resolvedJSON{
			head("resolved", at), e.Reference, e.Digest, e.Platform, e.Source, e.Path, e.Size, blobsJSON(e.Blobs),
		})
	case segpull.Progress:
		v.enc.Encode(progressJSON{
			head("progress", at), e.Reference, e.Done, e.Total, e.Resumed,
			int64(e.Rate), remainingJSON(e.Remaining), blobsDoneJSON(e.Blobs), sourcesJSON(e.Sources),
		})
	case segpull.Stalled:
		v.enc.Encode(stalledJSON{head("stalled", at), e.Reference, e.Silent.Seconds(), append([]string{}, e.Reasons...)})
	case segpull.Warning:
		v.enc.Encode(warningJSON{head("warning", at), e.Message})
	case segpull.Trouble:
		v.enc.Encode(troubleJSON{head("trouble", at), e.Source, e.Message})
	case segpull.Corrupt:
		v.enc.Encode(corruptJSON{head("corrupt", at), e.Source, e.Proof})
	case segpull.Finished:
		r := e.Result
		v.enc.Encode(finishedJSON{
			head("finished", at), r.Reference, r.Digest, r.ImageID, r.Path, r.Platform,
			r.Size, r.Fetched, r.Resumed, r.UpToDate, r.Duration.Seconds(), sharesJSON(r.Sources), append([]string{}, r.Corrupt...),
		})
	}
}

// fail prints the event that ends a pull that failed.
func (v jsonView) fail(at time.Time, message string, code int) {
	v.enc.Encode(errorJSON{head("error", at), message, code})
}

type headJSON struct {
	Event string `json:"event"`
	Time  string `json:"time"`
}

func head(event string, at time.Time) headJSON {
	return headJSON{event, at.UTC().Format("2006-01-02T15:04:05.000Z")}
}

type waitingJSON struct {
	headJSON
	Reference string   `json:"reference"`
	Sources   []string `json:"sources"`
}

type resolvedJSON struct {
	headJSON
	Reference string     `json:"reference"`
	Digest    string     `json:"digest"`
	Platform  string     `json:"platform"`
	Source    string     `json:"source"`
	Path      string     `json:"path"`
	Size      int64      `json:"size"`
	Blobs     []blobJSON `json:"blobs"`
}

type blobJSON struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

type progressJSON struct {
	headJSON
	Reference        string         `json:"reference"`
	Done             int64          `json:"done"`
	Total            int64          `json:"total"`
	Resumed          int64          `json:"resumed"`
	Rate             int64          `json:"rate"`
	RemainingSeconds *float64       `json:"remaining_seconds"`
	Blobs            []blobDoneJSON `json:"blobs"`
	Sources          []sourceJSON   `json:"sources"`
}

type blobDoneJSON struct {
	blobJSON
	Done     int64 `json:"done"`
	Verified int64 `json:"verified"`
}

type sourceJSON struct {
	Name        string `json:"name"`
	Bytes       int64  `json:"bytes"`
	Rate        int64  `json:"rate"`
	Connections int    `json:"connections"`
	State       string `json:"state"`
}

type stalledJSON struct {
	headJSON
	Reference     string   `json:"reference"`
	SilentSeconds float64  `json:"silent_seconds"`
	Reasons       []string `json:"reasons"`
}

type warningJSON struct {
	headJSON
	Message string `json:"message"`
}

type troubleJSON struct {
	headJSON
	Source  string `json:"source"`
	Message string `json:"message"`
}

type corruptJSON struct {
	headJSON
	Source string `json:"source"`
	Proof  string `json:"proof"`
}

type finishedJSON struct {
	headJSON
	Reference       string      `json:"reference"`
	Digest          string      `json:"digest"`
	ImageID         string      `json:"image_id"`
	Path            string      `json:"path"`
	Platform        string      `json:"platform"`
	Size            int64       `json:"size"`
	Fetched         int64       `json:"fetched"`
	Resumed         int64       `json:"resumed"`
	UpToDate        bool        `json:"up_to_date"`
	DurationSeconds float64     `json:"duration_seconds"`
	Sources         []shareJSON `json:"sources"`
	Corrupt         []string    `json:"corrupt"`
}

type shareJSON struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

type errorJSON struct {
	headJSON
	Message  string `json:"message"`
	ExitCode int    `json:"exit_code"`
}

func remainingJSON(d time.Duration) *float64 {
	if d < 0 {
		return nil
	}
	return new(d.Round(time.Millisecond).Seconds())
}

func blobsJSON(blobs []segpull.BlobInfo) []blobJSON {
	list := make([]blobJSON, len(blobs))
	for i, b := range blobs {
		list[i] = blobJSON(b)
	}
	return list
}

func blobsDoneJSON(blobs []segpull.BlobProgress) []blobDoneJSON {
	list := make([]blobDoneJSON, len(blobs))
	for i, b := range blobs {
		list[i] = blobDoneJSON{blobJSON{b.Digest, b.Size}, b.Done, b.Verified}
	}
	return list
}

func sourcesJSON(sources []segpull.SourceProgress) []sourceJSON {
	list := make([]sourceJSON, len(sources))
	for i, s := range sources {
		list[i] = sourceJSON{s.Name, s.Bytes, int64(s.Rate), s.Connections, s.State}
	}
	return list
}

func sharesJSON(shares []segpull.SourceShare) []shareJSON {
	list := make([]shareJSON, len(shares))
	for i, s := range shares {
		list[i] = shareJSON(s)
	}
	return list
}
