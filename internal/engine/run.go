package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a command may take to end after it was asked to.
	stopTimeout = 500 * time.Millisecond
	// mostSaid is how many bytes of a command's output an error has: the last ones say
	// why it failed.
	mostSaid = 2 << 10
)

// call is one run of a command.
type call struct {
	args  []string
	dir   string
	write func(io.Writer) error // writes its standard input; nil: it has none
}

// run runs the engine's command. A command whose input cannot be made is killed, since
// the end of its input would mean that the input is complete.
func (e Engine) run(ctx context.Context, c call) error {
	running, kill := context.WithCancel(ctx)
	defer kill()
	cmd := exec.CommandContext(running, e.path, c.args...)
	cmd.Dir = c.dir
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = stopTimeout
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	in := &input{done: make(chan struct{})}
	err := in.start(cmd, c.write, kill)
	if err == nil {
		err = cmd.Wait()
		<-in.done
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case in.err != nil:
		return in.err
	case err != nil:
		return fmt.Errorf("%s: %s (%w)", e.command(c), cmp.Or(said.line(), "no message"), err)
	}
	return nil
}

// input is the standard input of a command.
type input struct {
	pipe   io.WriteCloser
	closed bool          // the command does not read any more; its exit status says why
	err    error         // why the input cannot be made
	done   chan struct{} // closed when all is written, or err is set
}

// start starts a command, and writes its input.
func (in *input) start(cmd *exec.Cmd, write func(io.Writer) error, kill func()) (err error) {
	if write == nil {
		close(in.done)
		return cmd.Start()
	}
	if in.pipe, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(in.done)
		if err := write(in); err != nil && !in.closed {
			in.err = err
			kill()
			return
		}
		in.pipe.Close()
	}()
	return nil
}

func (in *input) Write(p []byte) (int, error) {
	n, err := in.pipe.Write(p)
	in.closed = in.closed || err != nil
	return n, err
}

// command names a run in an error: docker load.
func (e Engine) command(c call) string {
	words := []string{filepath.Base(e.path)}
	for _, arg := range c.args {
		if strings.HasPrefix(arg, "-") {
			break
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// interrupt asks a process to end. Windows has no signal for that.
func interrupt(p *os.Process) error {
	if runtime.GOOS == "windows" {
		return p.Kill()
	}
	return p.Signal(syscall.SIGTERM)
}

// tail keeps the last bytes that are written to it.
type tail struct{ last []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	t.last = t.last[max(len(t.last)-mostSaid, 0):]
	return len(p), nil
}

// line returns them in one line.
func (t *tail) line() string {
	lines := bytes.FieldsFunc(t.last, func(r rune) bool { return r == '\n' || r == '\r' })
	return string(bytes.Join(lines, []byte("; ")))
}
