// Command bench measures segpull: on weak networks, from mirrors that
// misbehave, and beside other tools.
//
//	go run ./bench demo     show one pull from three mirrors, of which one stops, or a server
//	go run ./bench cases    pull on simulated networks, by segpull and other tools
//	go run ./bench limits   measure the promises of the project
//	go run ./bench serve    measure segpull serve beside docker-registry and nginx
//	go run ./bench fleet    measure and simulate many nodes behind nginx and several servers
//	go run ./bench corrupt  measure the cost of a corrupt mirror
//	go run ./bench check    compare the speed with the committed baseline
//	go run ./bench soak     pull through random faults, kills and damage
//
// This package is the command line. Each command parses its flags and calls
// the package that does the work:
//
//	cases, check ─→ lab ─→ report          limits, serve, fleet, corrupt ─→ lab
//	soak ─→ rounds, each checked           demo ─→ one pull, or a server
//
// Commands measure the released form of segpull, built at the start and run as
// a process. Load goes to loopback and to network namespaces of this process.
// Everything that a command starts or writes is gone at its end, also after
// Ctrl-C, except results that the user asked for and what a soak found wrong.
package main
