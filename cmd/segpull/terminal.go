package main

import (
	"os"

	"golang.org/x/term"
)

// The rules for the terminal:
//
//   - segpull draws bars only if standard error is a terminal that can move its
//     cursor. Otherwise it prints plain lines.
//   - It uses colours only there, and not with NO_COLOR (https://no-color.org).
//   - It changes no mode of the terminal, so that there is nothing to restore after
//     a kill: it uses pb's bars, but not its pool, which turns echo off.
//   - It removes control characters from text that comes from outside.
//   - Standard output may be the same terminal: segpull prints a result while no bar
//     is on the screen.

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// movable reports whether bars can be drawn on f.
func movable(f *os.File) bool {
	return isTerminal(f) && os.Getenv("TERM") != "dumb"
}

func colours() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// sizeOf returns a function that asks for the terminal's width and height,
// which change while it is used.
func sizeOf(f *os.File) func() (int, int) {
	return func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
}

// SGR codes of ECMA-48.
const (
	bold   = "1"
	red    = "31"
	yellow = "33"
)

func paint(on bool, code, s string) string {
	if !on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
