package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/segpull/segpull/internal/needs"
)

// TestAPullEndsWithItsTerminal redirects standard error, so that only standard input
// and /dev/tty are the terminal.
func TestAPullEndsWithItsTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prefix string
		code   int
	}{
		"as ever":     {"", exitInterrupted},
		"under nohup": {`trap "" HUP; `, exitDone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := testRegistry()
			registry.Throttle(20 << 10)
			cmd := exec.Command("sh", "-c", c.prefix+"exec segpull --platform linux/amd64 -m "+registry.Start(t)+" app:1")
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+cmd.Dir)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			end := onTerminal(t, cmd)
			lines := bufio.NewScanner(stderr)
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), "app:1 is ") {
				t.Fatalf("the pull began with %q", lines.Text())
			}
			end()
			if c.code == exitDone {
				registry.Throttle(200 << 10)
			}
			for lines.Scan() {
			}
			if got := code(t, cmd.Wait()); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
		})
	}
}

// onTerminal starts a command on a new terminal (pty(7)), and returns a function that
// closes it.
func onTerminal(t *testing.T, cmd *exec.Cmd) (end func()) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		needs.Lack(t, "no terminal can be opened: "+err.Error())
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() { keyboard.Close() }
}
