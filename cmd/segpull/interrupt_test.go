package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command returns the command, in a directory and with a configuration of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command("segpull", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+cmd.Dir)
	return cmd
}

// code is the exit code that a command ended with.
func code(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

func TestInterruptedPullEndsWithinASecondAndGoesOn(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			registry := testRegistry()
			registry.Throttle(20 << 10)
			args := []string{"-m", registry.Start(t), "--platform", "linux/amd64", "app:1"}
			cmd := command(t, args...)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(stderr)
			if line, err := lines.ReadString('\n'); !strings.HasPrefix(line, "app:1 is ") {
				t.Fatalf("the pull began with %q, %v", line, err)
			}
			cmd.Process.Signal(sig)
			began := time.Now()
			rest, _ := io.ReadAll(lines)
			if got := code(t, cmd.Wait()); got != exitInterrupted {
				t.Errorf("exit code %d", got)
			}
			if took := time.Since(began); took > 5*time.Second { // a moment, and more on a busy machine
				t.Errorf("it went on for %v", took)
			}
			if want := "segpull: interrupted; run the same command again to continue\n"; string(rest) != want {
				t.Errorf("standard error ended with %q, want %q", rest, want)
			}

			registry.Throttle(0)
			again := exec.Command("segpull", args...)
			again.Dir, again.Env = cmd.Dir, cmd.Env
			if out, err := again.CombinedOutput(); err != nil {
				t.Errorf("the same command again: %v\n%s", err, out)
			}
		})
	}
}

// stubborn is a command that handles the first signal and does not end.
func stubborn() {
	ctx, stop := interruptible()
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	for {
		// The second signal works only from some moment after the first.
		fmt.Println("still here")
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSecondSignalKills(t *testing.T) {
	cmd := exec.Command("stubborn")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		cmd.Process.Signal(os.Interrupt)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended by %v", cmd.ProcessState)
	}
}

func TestClosedStandardOutput(t *testing.T) {
	registry := testRegistry()
	url := registry.Start(t)
	for name, args := range map[string][]string{
		"result":  {"-q", "-m", url, "--platform", "linux/amd64", "-o", "app.tar", "app:1"},
		"archive": {"-q", "-m", url, "--platform", "linux/amd64", "-o", "-", "app:1"},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			r.Close()
			var stderr bytes.Buffer
			cmd := command(t, args...)
			cmd.Stdout, cmd.Stderr = w, &stderr
			if got := code(t, cmd.Run()); got != exitOther {
				t.Errorf("exit code %d", got)
			}
			if s := stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "broken pipe") {
				t.Errorf("standard error: %q", s)
			}
			if _, err := os.Stat(filepath.Join(cmd.Dir, "app.tar")); name == "result" && err != nil {
				t.Errorf("the archive is not there: %v", err)
			}
		})
	}
}
