// Command bench shows what segpull is worth: weak networks, mirrors that
// misbehave, and the peers side by side on them.
//
//	go run ./bench demo     watch one pull, without a network
//	go run ./bench help     all commands
//
// What it measures is the released form of the command, built on the spot and
// run as a process of its own. Load goes to loopback and to namespaces of its
// own, and everything it starts or writes is gone at the end, also after
// Ctrl-C.
package main
