//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyHangup has SIGHUP, by which a user asks to read the configuration
// again, sent to c.
func notifyHangup(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }
