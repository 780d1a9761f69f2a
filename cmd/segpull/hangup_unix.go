//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// notifyHangup sends SIGHUP to c. By that signal, a user asks to read the
// configuration again.
func notifyHangup(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }

// endsWithTerminal reports whether the pull ends when its terminal closes. Under
// nohup, which makes the process ignore SIGHUP, it does not. Call it before
// notifyHangup.
func endsWithTerminal() bool { return !signal.Ignored(syscall.SIGHUP) && hasTerminal() }

// hasTerminal reports whether the process has a controlling terminal (tty(4)), even if
// its output is redirected.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		// Without free descriptors the open fails, but the terminal may exist.
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	}
	f.Close()
	return true
}
