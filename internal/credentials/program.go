package credentials

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// mostHelperBytes is how much of what a helper prints is kept, of each
	// stream.
	mostHelperBytes = 64 << 10
	// pipeTimeout is how long a child that a helper leaves behind may keep the
	// helper's pipes open.
	pipeTimeout = 500 * time.Millisecond
	// nothingStored is what docker-credential-helpers (credentials/error.go)
	// prints when it stores no login for a server.
	nothingStored = "credentials not found in native keychain"
	// identityUser is the user name of an identity token, in the same protocol.
	identityUser = "<token>"
)

// runProgram is a runner. It asks a credential helper as
// docker-credential-helpers (client/client.go) does: the server on stdin, the
// login as JSON on stdout.
func runProgram(ctx context.Context, program, server string) (Login, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return Login{}, cannotStart(err)
	}
	var stdout, stderr head
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(server), &stdout, &stderr
	cmd.WaitDelay = pipeTimeout
	killWithChildren(cmd)
	if err := cmd.Start(); err != nil {
		return Login{}, cannotStart(err)
	}
	err = cmd.Wait()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // the latter if a child kept the pipes open
		return decodeAnswer(program, &stdout, &stderr)
	case ctx.Err() != nil:
		return Login{}, timedOut(ctx)
	}
	return Login{}, refused(program, server, err, &stdout, &stderr)
}

func cannotStart(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	} else {
		err = withoutPath(err)
	}
	return &failure{
		what:    fmt.Sprintf("cannot be started: %v", err),
		advice:  "install it, or remove its name from the file and run docker login",
		lasting: true,
	}
}

// timedOut says why a run was ended: by its deadline, or since no caller waits.
func timedOut(ctx context.Context) error {
	if context.Cause(ctx) != context.DeadlineExceeded {
		return &failure{what: "did not finish before the pull ended", advice: "run again"}
	}
	return &failure{
		what:    fmt.Sprintf("did not answer within %v and is not asked again", helperTimeout),
		advice:  "unlock what it reads from, or remove its name from the file and run docker login",
		lasting: true,
	}
}

// refused interprets a helper that failed. Only its message distinguishes a
// login that is not stored from one that it cannot read.
func refused(program, server string, err error, stdout, stderr *head) error {
	if saysNothingStored(stdout, stderr) {
		return nil
	}
	said := cmp.Or(quote(string(stdout.text)), quote(string(stderr.text)))
	return misbehaved(program, fmt.Sprintf("failed for %s (%v)%s", server, err, said))
}

// decodeAnswer reads the login that a helper printed. Nothing of it is quoted:
// it may be the secret, in whatever form.
func decodeAnswer(program string, stdout, stderr *head) (Login, error) {
	var answer struct{ Username, Secret string }
	if stdout.over {
		return Login{}, misbehaved(program, "printed more than 64 KiB")
	}
	err := json.Unmarshal(stdout.text, &answer)
	if err != nil && saysNothingStored(stdout, stderr) {
		return Login{}, nil
	}
	if err != nil {
		return Login{}, misbehaved(program, "printed something other than a login in JSON"+quote(string(stderr.text)))
	}
	if answer.Username == identityUser {
		return Login{IdentityToken: answer.Secret}, nil
	}
	return Login{Username: answer.Username, Password: answer.Secret}, nil
}

func misbehaved(program, what string) error {
	return &failure{
		what:   what,
		advice: fmt.Sprintf("run %s get to see why, or remove its name from the file and run docker login", program),
	}
}

func saysNothingStored(stdout, stderr *head) bool {
	words := []byte(nothingStored)
	return bytes.Contains(stdout.text, words) || bytes.Contains(stderr.text, words)
}

// head is an io.Writer that keeps the first mostHelperBytes.
type head struct {
	text []byte
	over bool // there was more
}

func (h *head) Write(p []byte) (int, error) {
	kept := min(len(p), mostHelperBytes-len(h.text))
	h.text = append(h.text, p[:kept]...)
	h.over = h.over || kept < len(p)
	return len(p), nil
}
