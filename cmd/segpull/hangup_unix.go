//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// notifyHangup sends SIGHUP, by which a user asks to read the configuration
// again, to c.
func notifyHangup(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }

// endsWithTerminal reports whether the pull ends when its terminal closes. Under
// nohup, which makes the process ignore SIGHUP, it does not; ask before
// notifyHangup.
func endsWithTerminal() bool { return !signal.Ignored(syscall.SIGHUP) && hasTerminal() }

// hasTerminal reports whether the process has a controlling terminal, be its
// output redirected or not (tty(4)).
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		// A lack of descriptors says nothing of the terminal.
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	}
	f.Close()
	return true
}
