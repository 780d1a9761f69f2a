// Package demo shows one pull in the terminal, without a network: it makes an
// image, serves it from three slow mirrors on loopback, kills one of them
// during the pull, and checks the archive. Or it starts `segpull serve` before the
// same mirrors, and pulls through it as a container engine does.
//
//	image ─→ mirrors ─→ segpull, as a process in this terminal ─→ archive ─→ check
//	               └──→ segpull serve ─→ bench/client, in this process
package demo
