// Package fleet measures how many nodes pull images through one or more `segpull serve`
// behind nginx, and simulates fleets that no single machine can run.
//
//	Measure ─→ plan ─→ three mirrors ─→ `segpull serve`, 1, 2, 4 ─→ nginx ─→ nodes of this process
//	                └→ the files of the blobs ─→ nginx ─→ the same nodes: what the machine carries
//	                └→ fleetsim.Fleet of the same plan, in a column of its own
//
//	Simulate ─→ fleetsim.Fleet: a roll-out, and a day of busy hours
//
// Mirrors, origins and nginx are real: package registrytest, processes of segpull, and
// Debian's nginx with the configuration in deploy. A node is a few goroutines that ask as
// containerd does, check each digest, and read no faster than the node's link. Everything
// shares one machine over loopback. Links, mirrors and images are a tenth of usual ones,
// so that two processors carry 200 nodes and a pull takes as long as a usual one.
//
// Measured figures, and simulated ones, are in columns or tables that say which they are.
package fleet
