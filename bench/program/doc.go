// Package program builds segpull, and starts and measures processes: segpull,
// the tools that it is compared with, and servers.
//
//	Build ─→ path ─→ exec.Cmd ─→ Place.Start ─→ Measure ─→ Usage
//	                             Place.Start ─→ Daemon  ─→ stop
//
// Each process gets a process group, so that its children end with it: when
// Measure returns or a daemon is stopped, none of them is left. Measure returns
// an error only if the process could not start; how it failed is in its Usage.
package program
