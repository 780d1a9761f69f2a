// Package lab runs tools on cases: pulls of an image by segpull, or by a tool
// that it is compared with, from the mirrors of a simulated network.
//
//	Case ─→ weaknet or loopback ─→ mirrors: registrytest, docker-registry, nginx
//	             │                                   │
//	Tool ─→ a process on the user's host ───────→ pulls ─→ Run
//
// A Case is data: a network, the mirrors on it, an image and what segpull has
// to reach there. Each run sets its case up and takes it down again, so no run
// depends on an earlier one. Tools take turns on a case, so that other load on
// the machine affects all of them. Each Run contains the least time that the
// network allows; its efficiency is that bound divided by the time of the pull.
// It also contains the bytes that the servers handed to their kernels and, where
// there are links, those that the user's link forwarded. The second are what
// the user pays for; the first include what stayed in buffers of connections
// that the tool closed.
//
// Real servers and tools are optional: Turns reports those that cannot run and
// leaves them out. Load goes to loopback and to network namespaces of this
// process, and everything that a run starts or writes is gone when it returns.
package lab
