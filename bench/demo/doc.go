// Package demo shows one pull in the terminal, without a network: it makes an
// image, serves it from three slow mirrors on loopback, kills one of them
// during the pull, and checks the archive.
//
//	image ─→ mirrors ─→ segpull, as a process in this terminal ─→ archive ─→ check
package demo
