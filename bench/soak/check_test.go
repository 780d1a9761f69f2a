package soak

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/bench/program"
)

func TestChecker(t *testing.T) {
	mirrors := []*mirror{
		{name: "m0", role: correct, user: "user-m0", password: "pass-m0"},
		{name: "m1", role: corrupt, user: "user-m1", password: "pass-m1"},
	}
	events := func(lines string) result { return result{stderr: []byte(lines), events: readEvents([]byte(lines))} }
	killed := result{Usage: program.Usage{Exit: -1, Err: "signal: killed"}, attempt: attempt{cause: kill}, signalled: time.Now()}
	for name, test := range map[string]struct {
		e     result
		kept  int64
		wrong string // "": nothing
	}{
		"killed":                       {e: killed},
		"killed without a kill":        {e: result{Usage: program.Usage{Exit: -1, Err: "signal: killed"}}, wrong: "exit code -1"},
		"the network failed":           {e: result{Usage: program.Usage{Exit: 6}, stderr: []byte("segpull: network\n")}},
		"wrong code":                   {e: result{Usage: program.Usage{Exit: 5}, stderr: []byte("segpull: mismatch\n")}, wrong: "exit code 5"},
		"interrupted without a signal": {e: result{Usage: program.Usage{Exit: 130}, stderr: []byte("segpull: interrupted\n")}, wrong: "exit code 130"},
		"late":                         {e: result{Usage: program.Usage{Exit: 130}, attempt: attempt{cause: interrupt}, signalled: time.Now(), survived: time.Minute, stderr: []byte("segpull: interrupted\n")}, wrong: "after the signal"},
		"no message":                   {e: result{Usage: program.Usage{Exit: 6}}, wrong: "ends with the line"},
		"another code in JSON":         {e: result{Usage: program.Usage{Exit: 6}, attempt: attempt{progress: "json"}, stderr: []byte(`{"event":"error","exit_code":1}`)}, wrong: "ends with the event"},
		"a crash":                      {e: result{Usage: program.Usage{Exit: 2}, stderr: []byte("panic: x\n")}, wrong: "crashed"},
		"hung":                         {e: result{Usage: program.Usage{Exit: 2}, stderr: []byte("SIGQUIT: quit\n")}, wrong: "hung"},
		"no output":                    {e: result{}, wrong: "no output"},
		"a correct mirror accused":     {e: events(`{"event":"corrupt","source":"m0"}`), wrong: "m0 is reported as corrupt"},
		"a password":                   {e: result{Usage: program.Usage{Exit: 6}, stderr: []byte("segpull: 401 for pass-m0\n")}, wrong: "is in standard error"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.e.mirrors, test.e.alone, test.e.path = mirrors, true, filepath.Join(outputs(dir), outputName)
			if test.e.Exit == 0 && test.wrong != "no output" {
				test.e.Exit = exitNetwork
			}
			if err := os.Mkdir(outputs(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			c := &checker{round: &round{image: smallImage(), shape: toFile, mirrors: mirrors}, dir: dir, kept: test.kept}
			c.check(test.e)
			wantFailure(t, c, test.wrong)
		})
	}
}

func wantFailure(t *testing.T, c *checker, wrong string) {
	t.Helper()
	got := strings.Join(c.wrong, "\n")
	if wrong == "" && got != "" || !strings.Contains(got, wrong) {
		t.Errorf("the checker reports %q, want %q", got, wrong)
	}
}

func TestCheckResume(t *testing.T) {
	run := func(lines string) result {
		return result{Usage: program.Usage{Exit: -1}, events: readEvents([]byte(lines)), alone: true, path: "/nowhere"}
	}
	c := &checker{round: &round{mirrors: []*mirror{{role: correct}}}}
	c.checkResume(run(`{"event":"progress","done":5,"resumed":0}` + "\n" + `{"event":"progress","done":90,"resumed":0}`))
	c.checkResume(run("")) // killed before it could write an event
	c.checkResume(run(`{"event":"progress","done":95,"resumed":90}`))
	wantFailure(t, c, "")
	ended := &checker{round: c.round}
	ended.checkResume(run(`{"event":"progress","done":95,"resumed":0}` + "\n" + `{"event":"finished"}`)) // killed after it
	ended.checkResume(run(`{"event":"progress","done":5,"resumed":0}`))
	wantFailure(t, ended, "")
	c.checkResume(run(`{"event":"progress","done":95,"resumed":94}`))
	wantFailure(t, c, "95 bytes were on disk, and 94 are resumed")
}

func TestCheckTraffic(t *testing.T) {
	r := round{image: smallImage(), mirrors: []*mirror{
		{name: "m0", user: "user-m0", password: "pass-m0"}, {name: "m1"},
	}}
	site, err := serve(r)
	defer site.close()
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{round: &r}
	c.checkTraffic(site, 0)
	wantFailure(t, c, "")
	for range 80 { // 1.6 MiB of an image of 23 KiB
		fetch(t, site.running[0].url, r.image.layers[0].Digest, "user-m0", "pass-m0")
	}
	c.checkTraffic(site, 0)
	wantFailure(t, c, "more than allowed")
	fetch(t, site.running[1].url, r.image.layers[0].Digest, "user-m0", "pass-m0")
	c.checkTraffic(site, 0)
	wantFailure(t, c, "a secret of m0 went to m1")
}

func fetch(t *testing.T, url string, blob digest.Digest, user, password string) {
	t.Helper()
	get := exec.CommandContext(t.Context(), "curl", "-sf", "-o", os.DevNull, "-u", user+":"+password, url+"/v2/"+repository+"/blobs/"+blob.String())
	if err := get.Run(); err != nil {
		t.Fatal(err)
	}
}
