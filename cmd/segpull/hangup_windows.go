package main

import "os"

// notifyHangup does nothing: Windows has no such signal.
func notifyHangup(chan<- os.Signal) {}

func endsWithTerminal() bool { return false }

func hasTerminal() bool { return false }
