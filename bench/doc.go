// Command bench shows what segpull is worth: weak networks, mirrors that
// misbehave, and the peers side by side on them.
//
//	go run ./bench           the whole comparison, as root, on Linux
//	go run ./bench loopback  what of it needs no root
//	go run ./bench demo      watch one pull, without a network
//	go run ./bench soak      pulls through faults and violence, each checked
//	go run ./bench liars     what it costs that one of two mirrors lies
//	go run ./bench help      all commands
//
// A case (cases.go) is a network, the mirrors on it and an image. For each run
// it is set up anew:
//
//	case ─→ weaknet or loopback ─→ mirrors: registrytest, docker-registry, nginx
//	             │                                   │
//	tool ─→ a process on the user's host ───────→ pulls ─→ Run ─→ Summary ─→ table, JSON, pictures
//
// Tools take turns, so that what else the machine does hits all of them. Each
// result stands beside the least time that the network allows (bound.go):
// efficiency is that bound by the time taken.
//
// A soak (soak.go) measures nothing: it plays rounds (soak_round.go), in which
// segpull and its files are mistreated, and a judge (soak_judge.go) holds what
// comes of each process against what is promised.
//
//	seed ─→ round: image, mirrors, runs ─→ processes and what befalls them ─→ judge ─→ tally
//
// What is measured is the released form of the command, built on the spot and
// run as a process of its own. Load goes to loopback and to namespaces of its
// own, and everything it starts or writes is gone at the end, also after
// Ctrl-C; but for what a soak found wrong.
package main
