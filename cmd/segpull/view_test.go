package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
)

var testStart = time.Date(2026, 11, 22, 1, 2, 3, 4_000_000, time.UTC)

// sampleEvents is a short pull: an event of every kind, two samples a second.
func sampleEvents() []stamped {
	events := []stamped{
		{testStart, segpull.Waiting{Reference: "ubuntu:22.04", Sources: []string{"aliyun", "docker.io"}}},
		{testStart, testResolved()},
	}
	for i := 1; i <= 12; i++ {
		p := testProgress()
		p.Done = int64(i) * 3 * mib
		events = append(events, stamped{testStart.Add(time.Duration(i) * time.Second / 2), p})
	}
	end := testStart.Add(7 * time.Second)
	for i := range int64(4) {
		events = append(events, stamped{end.Add(time.Duration(i) * 2 * time.Second), testSending(i * 10 * mib)})
	}
	return append(events,
		stamped{end, segpull.Warning{Message: "mirror daocloud gave up; remove it"}},
		stamped{end, segpull.Trouble{Source: "aliyun", Message: "connection reset; trying again"}},
		stamped{end, testFinished()})
}

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	v := &plain{notices: notices{out: &out}, last: map[string]plainLine{}}
	for _, e := range sampleEvents() {
		v.show(e.at, e.event)
	}
	want := `resolving ubuntu:22.04: waiting for aliyun, docker.io ...
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
ubuntu:22.04: 75% of 40.0 MiB, 9.1 MiB/s, 2s left
sending ubuntu:22.04 to docker
ubuntu:22.04 to docker: 75% of 40.0 MiB
segpull: warning: mirror daocloud gave up; remove it
segpull: aliyun: connection reset; trying again
ubuntu:22.04: 39.0 MiB in 4.3s (9.1 MiB/s) from aliyun 67%, docker.io 33%; 1.0 MiB were there already; docker has it as docker.io/library/ubuntu:22.04
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestPlainLinesAreFewWhileNothingArrives(t *testing.T) {
	var out bytes.Buffer
	v := &plain{notices: notices{out: &out}, last: map[string]plainLine{}}
	v.show(testStart, testResolved())
	for s := range 150 {
		p := testProgress()
		p.Done = min(int64(s), 12) * mib
		v.show(testStart.Add(time.Duration(s)*time.Second), p)
	}
	// After 5, 10 and 15 seconds, then once a minute.
	if n := strings.Count(out.String(), "\n"); n != 1+3+2 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestNoProgressShowsNotices(t *testing.T) {
	var out bytes.Buffer
	v := notices{out: &out, colour: true}
	for _, e := range sampleEvents() {
		v.show(e.at, e.event)
	}
	want := "\x1b[33msegpull: warning:\x1b[0m mirror daocloud gave up; remove it\n" +
		"segpull: aliyun: connection reset; trying again\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestJSONEvents(t *testing.T) {
	var out bytes.Buffer
	v := jsonView{&out}
	p := testProgress()
	p.Blobs, p.Sources = p.Blobs[1:2], p.Sources[:1]
	f := testFinished()
	f.Result.Corrupt, f.Result.FetchedTwice = []string{"daocloud"}, mib
	r := testResolved()
	r.Blobs = r.Blobs[:1]
	for _, e := range []segpull.Event{
		segpull.Waiting{Reference: "ubuntu:22.04", Sources: []string{"aliyun"}},
		r, p,
		segpull.Progress{Remaining: segpull.Duration{Duration: -1}, Blobs: []segpull.BlobProgress{}, Sources: []segpull.SourceProgress{}},
		testSending(mib),
		segpull.Warning{Message: "<w>\x1b"},
		segpull.Trouble{Source: "aliyun", Message: "t"},
		segpull.Corrupt{Source: "daocloud", Proof: "p"},
		f,
	} {
		v.show(testStart, e)
	}
	v.fail(testStart, "no such image", 3)

	want := strings.NewReplacer("\n    ", "", "TIME", `"time":"2026-11-22T01:02:03.004Z"`,
		"D0", testDigest("0"), "D1", testDigest("1"), "D2", testDigest("2"), "D5", testDigest("5")).Replace(`
{"event":"waiting",TIME,"reference":"ubuntu:22.04","sources":["aliyun"]}
{"event":"resolved",TIME,"reference":"ubuntu:22.04","digest":"D0","platform":"linux/amd64",
    "source":"docker.io","path":"ubuntu_22.04_linux_amd64.tar","size":41943040,
    "blobs":[{"digest":"D1","size":1048576}]}
{"event":"progress",TIME,"reference":"ubuntu:22.04","done":18874368,"total":41943040,"resumed":1048576,
    "rate":9542041,"remaining_seconds":2.4,
    "blobs":[{"digest":"D2","size":29884416,"done":7340032,"verified":5242880}],
    "sources":[{"name":"aliyun","bytes":11534336,"rate":6396313,"connections":4,"state":"active"}]}
{"event":"progress",TIME,"reference":"","done":0,"total":0,"resumed":0,
    "rate":0,"remaining_seconds":null,"blobs":[],"sources":[]}
{"event":"sending",TIME,"reference":"ubuntu:22.04","to":"docker","done":1048576,"total":41943040,"rate":3145728}
{"event":"warning",TIME,"message":"<w>\u001b"}
{"event":"trouble",TIME,"source":"aliyun","message":"t"}
{"event":"corrupt",TIME,"source":"daocloud","proof":"p"}
{"event":"finished",TIME,"reference":"ubuntu:22.04","digest":"D0","image_id":"D1",
    "path":"ubuntu_22.04_linux_amd64.tar",
    "delivered":[{"to":"docker","name":"docker.io/library/ubuntu:22.04","digest":"D5"}],"platform":"linux/amd64",
    "size":41943040,"fetched":40894464,"fetched_twice":1048576,"resumed":1048576,"up_to_date":false,"duration_seconds":4.3,
    "sources":[{"name":"aliyun","bytes":27262976},{"name":"docker.io","bytes":13631488},{"name":"daocloud","bytes":0}],
    "corrupt":["daocloud"]}
{"event":"error",TIME,"message":"no such image","exit_code":3}
`)[1:]
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestResults(t *testing.T) {
	var out bytes.Buffer
	var failure error
	r := &results{out: &out, fail: func(err error) { failure = err }}
	for _, e := range sampleEvents() {
		r.show(e.at, e.event)
	}
	want := testDigest("0") + " ubuntu_22.04_linux_amd64.tar\n" + testDigest("5") + " docker.io/library/ubuntu:22.04\n"
	if out.String() != want || failure != nil {
		t.Errorf("got %q and %v, want %q", out.String(), failure, want)
	}
	r.out = brokenPipe{}
	r.show(testStart, testFinished())
	want = "cannot write the result to standard output: broken pipe; run the same command again to continue"
	if failure == nil || failure.Error() != want {
		t.Errorf("a result that could not be written: %v, want %s", failure, want)
	}
}
