package main

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/segpull/segpull"
)

// jsonView prints one event per line; doc.go describes them.
type jsonView struct{ out io.Writer }

func (v jsonView) close() {}

func (v jsonView) show(at time.Time, e segpull.Event) { v.print(e.Kind(), at, e) }

// fail prints the event that ends a pull that failed.
func (v jsonView) fail(at time.Time, message string, code int) {
	v.print("error", at, struct {
		Message  string `json:"message"`
		ExitCode int    `json:"exit_code"`
	}{message, code})
}

// print writes an object that has the kind of an event, its time, and then the
// fields of details, of which there is at least one.
func (v jsonView) print(kind string, at time.Time, details any) {
	head := encode(struct {
		Event string `json:"event"`
		Time  string `json:"time"`
	}{kind, at.UTC().Format("2006-01-02T15:04:05.000Z")})
	line := append(bytes.TrimSuffix(head, []byte("}\n")), ',')
	v.out.Write(append(line, encode(details)[1:]...))
}

// encode returns v as JSON in one line, with <, > and & as they are. It cannot
// fail: events have no values that JSON lacks.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
	return buf.Bytes()
}
