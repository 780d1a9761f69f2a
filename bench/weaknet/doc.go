// Package weaknet makes networks that are slow, far away and lossy, with the
// kernel's own TCP at both ends.
//
//	host ── TUN ─→ up pipe of the sender ─→ down pipe of the receiver ─→ TUN ── host
//
// Each host is a network namespace of its own, with one TUN device and cubic
// as its congestion control (BBR, the default of some machines, hides loss).
// All packets pass through one box in this process, which gives each link its
// rate, queue, delay, jitter, loss and reordering; netem, which could do the
// same, is not in every kernel.
//
// The box also counts what each link delivers to its host, which is what the
// user of a metered link pays for: see Traffic.
//
// Namespaces have no names and belong to threads of this process: they are
// gone with Network.Close, and with the process, however it ends. They need
// root and /dev/net/tun.
package weaknet
