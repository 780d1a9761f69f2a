package realtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programTimeout is how long a program may take for one task.
const programTimeout = time.Minute

// run runs a program, which must succeed, and returns what it printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	return feed(t, nil, program, args...)
}

// feed is run with something on the program's standard input.
func feed(t *testing.T, stdin io.Reader, program string, args ...string) string {
	t.Helper()
	stdout, err := try(t, stdin, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

// try is feed for a program that may fail.
func try(t *testing.T, stdin io.Reader, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(programTimeout, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// serve runs a server until the test ends. It returns when a line of the
// server's log matches ready, with the line's first group.
func serve(t *testing.T, ready *regexp.Regexp, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	out, err := os.Create(filepath.Join(tempDir(t), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(cmd) })
	for deadline := time.Now().Add(programTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found := grep(t, ready, out.Name()); found != "" {
			return found
		}
	}
	log, _ := os.ReadFile(out.Name())
	t.Fatalf("%s is not ready after %v:\n%s", program, programTimeout, log)
	return ""
}

func grep(t *testing.T, line *regexp.Regexp, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for log := bufio.NewScanner(f); log.Scan(); {
		if m := line.FindStringSubmatch(log.Text()); m != nil {
			return m[1]
		}
	}
	return ""
}

// stop asks a server to end, and makes sure that it does.
func stop(cmd *exec.Cmd) {
	timer := time.AfterFunc(15*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
}

// tempDir returns a temporary directory whose path is short enough for sockets.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "segpull-real-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
