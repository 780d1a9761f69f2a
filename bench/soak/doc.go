// Package soak pulls random images through random faults, kills and damage,
// and checks that what segpull promises holds. It measures no speed.
//
//	seed ─→ round: image, mirrors, attempts
//	           │
//	           ├─→ site: the mirrors, as registrytest servers with faults
//	           ├─→ each attempt: damage to files, a process, signals to it
//	           └─→ checker: exit code, messages, output, resumed bytes, secrets, traffic
//	                  └─→ tally
//
// A round has several attempts at one pull. All but the last are disturbed: the
// process is killed or stopped, the disk is full, others work on the same
// output, files are damaged. The last one is not, and has to end as the round's
// mirrors allow. The same seed and number always make the same round, so a bad
// one can be run again; its directory stays.
package soak
