package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/registrytest"
)

// Exit codes of the command beside those of the library.
const (
	exitOther       = 1
	exitInterrupted = 130
)

// judge holds what comes of a round against what segpull promises.
type judge struct {
	*round
	dir   string   // of the user
	wrong []string // what did not hold
	lies  int      // outputs that were wrong
	// kept is what a process said that it has on disk, and what the next one
	// has to go on from. 0: nothing is known.
	kept   int64
	spoilt bool   // what stands at the output's place was damaged on purpose
	stands string // the format of what stands there; "": nothing right
	pulled int    // how often the image was pulled to its end
	anew   int    // and how often nothing stood there that would do
}

func (j *judge) blame(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// hear judges one process and what stands when it has ended.
func (j *judge) hear(e ending) {
	if e.finished() {
		j.pulled++
		if !j.wouldDo(e.run) {
			j.anew++
		}
	}
	j.checkExit(e)
	j.checkWords(e)
	j.checkOutput(e)
	j.checkResume(e)
	j.checkLiars(e)
	j.checkSecrets(e)
	if e.Exit == 0 && e.alone {
		j.checkLeftovers()
	}
}

// wouldDo tells whether what stands is what the run is to make, so that there
// is nothing to fetch. What legacy wrote can't be checked by digests, nor is a
// folder.
func (j *judge) wouldDo(run attempt) bool {
	return j.shape == toFile && j.stands != "" && j.stands != "legacy" && strings.HasPrefix(run.format, j.stands)
}

// checkExit holds the exit code against the README's table.
func (j *judge) checkExit(e ending) {
	fate := j.fateOf(e.run.mirrors)
	mayEnd := map[int]bool{segpull.ExitNetwork: true, exitInterrupted: !e.struck.IsZero()}
	switch {
	case bytes.Contains(e.stderr, []byte("SIGQUIT")):
		j.blame("it hung for %s", e.Wall.Round(time.Second))
		return
	case e.Exit == -1 && !e.struck.IsZero() && e.Err != "":
		return // by the signal; one that comes at once is not caught yet
	case e.run.blow == noRoom:
		mayEnd[exitOther] = true
	}
	if !e.alone {
		mayEnd[exitOther] = true // in use by another
	}
	switch fate {
	case endsWell:
		mayEnd[0] = true
	case endsIn5:
		mayEnd[segpull.ExitMismatch] = true
	case mayFail:
		mayEnd[0], mayEnd[segpull.ExitMismatch] = true, true
		mayEnd[segpull.ExitNotFound], mayEnd[segpull.ExitCredentials] = true, true
	}
	if !mayEnd[e.Exit] {
		j.blame("exit code %d (%s): %s", e.Exit, fate, e.Err)
	}
	if e.Exit == exitInterrupted && e.lived > interruptPatience+e.run.paused {
		j.blame("it went on for %s after it was told to end", e.lived.Round(time.Millisecond))
	}
}

// interruptPatience is one second, on a busy machine.
const interruptPatience = 4 * time.Second

// checkWords looks for crashes, and for errors that are not told as they
// should be.
func (j *judge) checkWords(e ending) {
	if bytes.Contains(e.stderr, []byte("SIGQUIT")) {
		return // it was asked to, since it hung
	}
	for _, crash := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine "} {
		if bytes.Contains(e.stderr, []byte(crash)) {
			j.blame("it crashed: %s", crash)
			return
		}
	}
	if e.Exit <= 0 {
		return
	}
	last := program.LastLine(e.stderr)
	if e.run.progress != "json" {
		if !strings.HasPrefix(last, "segpull: ") {
			j.blame("exit code %d ends with the line %q", e.Exit, last)
		}
		return
	}
	var event event
	if err := json.Unmarshal([]byte(last), &event); err != nil || event.Event != "error" || event.ExitCode != e.Exit {
		j.blame("exit code %d ends with the event %q", e.Exit, last)
	}
}

// checkOutput reads what stands at the output's place.
func (j *judge) checkOutput(e ending) {
	j.stands = ""
	_, err := os.Stat(e.path)
	switch {
	case j.shape == toStdout && e.Exit != 0:
		return // half an archive went where a user would see that it failed
	case j.shape == toFolder && e.Exit != 0:
		if _, err := os.Stat(filepath.Join(e.path, "index.json")); err != nil {
			return // written last; without it there is no image
		}
	case err != nil && e.Exit == 0 && e.alone:
		j.blame("it ended well, and there is no output: %v", err)
		return
	case err != nil:
		return
	}
	if j.fate == endsIn5 && !j.spoilt {
		j.blame("all mirrors lie, and there is an output")
	}
	tag := "soak:1"
	if j.byDigest {
		tag = ""
	}
	format, err := j.image.checkOutput(e.path, tag)
	j.spoilt = j.spoilt && e.Exit != 0
	if err == nil {
		j.stands = format
	}
	if err != nil && !j.spoilt {
		j.lies++
		j.blame("the output is wrong, after exit code %d and of format %q: %v", e.Exit, format, err)
	}
	if e.Exit == 0 && e.alone && !strings.HasPrefix(e.run.format, format) {
		j.blame("the output has format %q, not %q", format, e.run.format)
	}
}

// checkResume sees to it that what was on disk is not fetched again.
func (j *judge) checkResume(e ending) {
	for _, event := range e.events {
		if event.Event != "progress" {
			continue
		}
		if e.alone && !j.hasLiars() && event.Resumed < j.kept {
			j.blame("%d bytes were on disk, and %d are resumed", j.kept, event.Resumed)
		}
		break
	}
	for _, event := range e.events {
		if event.Event == "progress" {
			j.kept = event.Done
		}
	}
	_, err := os.Stat(e.path)
	if e.finished() || !e.alone || err == nil && j.shape != toStdout { // what stands is looked at again, by another format not
		j.kept = 0
	}
}

// checkLiars sees to it that nobody else is called one.
func (j *judge) checkLiars(e ending) {
	for _, event := range e.events {
		if event.Event != "liar" {
			continue
		}
		if !slices.ContainsFunc(j.mirrors, func(m *mirror) bool { return m.name == event.Source && m.role == liar }) {
			j.blame("%s is called a liar, and is none", event.Source)
		}
	}
}

// checkSecrets looks for secrets in all that segpull writes.
func (j *judge) checkSecrets(e ending) {
	secrets := []string{"signature="}
	for _, m := range j.mirrors {
		secrets = append(secrets, m.secrets()...)
	}
	look := func(where string, text []byte) {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				j.blame("%q stands in %s", secret, where)
			}
		}
	}
	look("standard output", e.stdout)
	look("standard error", e.stderr)
	for _, path := range append(partFiles(j.dir, "state"), filepath.Join(j.dir, "segpull", memory)) {
		if text, err := os.ReadFile(path); err == nil {
			look(path, text)
		}
	}
}

// checkLeftovers sees to it that a pull that is done leaves its output alone.
func (j *judge) checkLeftovers() {
	err := filepath.WalkDir(outputs(j.dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".segpull") {
			j.blame("%s is left over", path)
		}
		return err
	})
	if err != nil {
		j.blame("%v", err)
	}
}

func (j *judge) checkBystander() {
	if text, err := os.ReadFile(bystanderOf(j.dir)); err != nil || string(text) != bystanding {
		j.blame("the file that links lead to was changed: %q, %v", text, err)
	}
}

// checkTraffic looks at all requests of the round.
func (j *judge) checkTraffic(site *site, killed int) {
	site.logs(func(of *mirror, cdn bool, log []registrytest.Request) {
		for _, m := range j.mirrors {
			if m == of && !cdn {
				continue
			}
			for _, secret := range m.secrets() {
				if slices.ContainsFunc(log, func(r registrytest.Request) bool { return knows(r, secret) }) {
					j.blame("a secret of %s went to %s", m.name, of.name)
				}
			}
		}
	})
	served, broken := site.traffic()
	if allowed := j.allowed(broken, killed); served > allowed {
		j.blame("%s were served, %s more than allowed", inMiB(served), inMiB(served-allowed))
	}
}

// allowed is the most bytes that the mirrors may have to serve: hedges, what
// was on its way when responses were broken off, a MiB for each connection
// that was open at a kill. Mirrors that ignore ranges, liars and damage cost
// more.
func (j *judge) allowed(broken, killed int) int64 {
	need := j.image.size()
	allowed := need*int64(max(j.pulled, 1))*105/100 + int64(broken)*128*kib + int64(killed)*mib + mib
	for _, m := range j.mirrors {
		if m.whole {
			allowed += int64(len(j.runs)) * need
		}
		if m.role == liar {
			allowed += int64(len(j.runs)) * need
		}
	}
	for _, run := range j.runs {
		if len(run.wounds) > 0 {
			allowed += need
		}
		allowed += int64(len(run.rivals)) * need
	}
	return allowed
}

func knows(r registrytest.Request, secret string) bool {
	for _, values := range r.Header {
		for _, v := range values {
			if strings.Contains(v, secret) {
				return true
			}
		}
	}
	return strings.Contains(r.Query, secret)
}
