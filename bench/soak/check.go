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

	"github.com/segpull/segpull/bench/program"
)

// Exit codes of the command, as its documentation has them.
const (
	exitNotFound    = 3
	exitCredentials = 4
	exitMismatch    = 5
	exitNetwork     = 6
	exitPermanent   = 7
)

// Exit codes of the command that the library does not have.
const (
	exitOther       = 1
	exitInterrupted = 130
)

// exitTime is how long segpull may run after a signal. It needs less than one
// second on an idle machine.
const exitTime = 4 * time.Second

// checker compares what the processes of a round did with what segpull
// promises.
type checker struct {
	*round
	dir          string   // the user's
	wrong        []string // what did not hold
	wrongOutputs int
	// kept is how many bytes the latest process reported as stored, which the
	// next one has to resume. 0: unknown.
	kept     int64
	damaged  bool   // the file at the output's path was damaged on purpose
	existing string // the format of the right output at that path; "": none
	pulled   int    // how often the image was pulled to its end
	fetched  int    // how often no output was there that could be reused
}

func (c *checker) failf(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// check checks one process and the output after it.
func (c *checker) check(p result) {
	if p.finished() {
		c.pulled++
		if !c.reusable(p.attempt) {
			c.fetched++
		}
	}
	c.checkExit(p)
	c.checkMessages(p)
	c.checkOutput(p)
	c.checkResume(p)
	c.checkAccused(p)
	c.checkSecrets(p)
	if p.Exit == 0 && p.alone {
		c.checkLeftovers()
	}
}

// reusable reports whether the existing output is what the attempt has to make, so
// that nothing has to be fetched. segpull can check neither a legacy archive by
// digests nor a directory.
func (c *checker) reusable(a attempt) bool {
	return c.shape == toFile && c.existing != "" && c.existing != "legacy" && strings.HasPrefix(a.format, c.existing)
}

// checkExit checks the exit code and, after a signal, the time until it.
func (c *checker) checkExit(p result) {
	switch {
	case p.hung():
		c.failf("it hung for %s", p.Wall.Round(time.Second))
		return
	case p.Exit == -1 && !p.signalled.IsZero() && p.Err != "":
		return // the signal ended it before it could be caught
	}
	outcome := c.outcomeOf(p.mirrors)
	if !slices.Contains(exitCodes(outcome, p), p.Exit) {
		c.failf("exit code %d (%s): %s", p.Exit, outcome, p.Err)
	}
	if p.Exit == exitInterrupted && p.survived > exitTime+p.paused {
		c.failf("it ran for %s after the signal", p.survived.Round(time.Millisecond))
	}
}

// exitCodes are those that the README allows.
func exitCodes(o outcome, p result) []int {
	allowed := []int{exitNetwork}
	if !p.signalled.IsZero() {
		allowed = append(allowed, exitInterrupted)
	}
	if p.cause == fullDisk || !p.alone { // alone: no other process uses the output
		allowed = append(allowed, exitOther)
	}
	switch o {
	case succeeds:
		return append(allowed, 0)
	case mismatches:
		return append(allowed, exitMismatch)
	}
	return append(allowed, 0, exitMismatch, exitNotFound, exitCredentials, exitPermanent)
}

// checkMessages looks for crashes, and for errors in another form than promised.
func (c *checker) checkMessages(p result) {
	if p.hung() {
		return // its goroutines were requested
	}
	for _, crash := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine "} {
		if bytes.Contains(p.stderr, []byte(crash)) {
			c.failf("it crashed: %s", crash)
			return
		}
	}
	if p.Exit <= 0 {
		return
	}
	last := program.LastLine(p.stderr)
	if p.progress != "json" {
		if !strings.HasPrefix(last, "segpull: ") {
			c.failf("exit code %d ends with the line %q", p.Exit, last)
		}
		return
	}
	var e event
	if err := json.Unmarshal([]byte(last), &e); err != nil || e.Event != "error" || e.ExitCode != p.Exit {
		c.failf("exit code %d ends with the event %q", p.Exit, last)
	}
}

// checkOutput reads the output, if there is one, and checks every byte.
func (c *checker) checkOutput(p result) {
	c.existing = ""
	if !c.hasOutput(p) {
		return
	}
	if c.outcome == mismatches && !c.damaged {
		c.failf("all mirrors are corrupt, and there is an output")
	}
	tag := "soak:1"
	if c.byDigest {
		tag = ""
	}
	format, err := c.image.checkOutput(p.path, tag)
	c.damaged = c.damaged && p.Exit != 0
	if err == nil {
		c.existing = format
	}
	if err != nil && !c.damaged {
		c.wrongOutputs++
		c.failf("the output is wrong, after exit code %d and of format %q: %v", p.Exit, format, err)
	}
	if p.Exit == 0 && p.alone && !strings.HasPrefix(p.format, format) {
		c.failf("the output has format %q, not %q", format, p.format)
	}
}

// hasOutput reports whether there is an output that has to be right.
func (c *checker) hasOutput(p result) bool {
	if p.Exit != 0 && c.shape == toStdout {
		return false // half an archive, and an exit code that says so
	}
	if p.Exit != 0 && c.shape == toDirectory {
		_, err := os.Stat(filepath.Join(p.path, "index.json")) // segpull writes it last
		return err == nil
	}
	_, err := os.Stat(p.path)
	if err != nil && p.Exit == 0 && p.alone {
		c.failf("it succeeded, and there is no output: %v", err)
	}
	return err == nil
}

// checkResume checks that stored bytes are not fetched again.
func (c *checker) checkResume(p result) {
	progress := slices.DeleteFunc(slices.Clone(p.events), func(e event) bool { return e.Event != "progress" })
	if n := len(progress); n > 0 {
		if first := progress[0]; p.alone && !c.hasCorrupt() && first.Resumed < c.kept {
			c.failf("%d bytes were on disk, and %d are resumed", c.kept, first.Resumed)
		}
		c.kept = progress[n-1].Done
	}
	// A process that finds an output verifies it; one with another format does
	// not use it.
	_, err := os.Stat(p.path)
	if p.finished() || !p.alone || err == nil && c.shape != toStdout {
		c.kept = 0
	}
}

// checkAccused checks that only corrupt mirrors are reported as such.
func (c *checker) checkAccused(p result) {
	for _, e := range p.events {
		if e.Event != "corrupt" {
			continue
		}
		if !slices.ContainsFunc(c.mirrors, func(m *mirror) bool { return m.name == e.Source && m.role == corrupt }) {
			c.failf("%s is reported as corrupt, and is not", e.Source)
		}
	}
}

// checkLeftovers checks that after success only the output is left.
func (c *checker) checkLeftovers() {
	err := filepath.WalkDir(outputs(c.dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".segpull") {
			c.failf("%s is left over", path)
		}
		return err
	})
	if err != nil {
		c.failf("%v", err)
	}
}

func (c *checker) checkLinkTarget() {
	if text, err := os.ReadFile(linkTarget(c.dir)); err != nil || string(text) != linkTargetText {
		c.failf("the file that links lead to was changed: %q, %v", text, err)
	}
}
