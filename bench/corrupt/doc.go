// Package corrupt measures the cost of a corrupt mirror: the bytes that a
// correct and a corrupt mirror serve together, as a multiple of those needed,
// for each kind of wrong bytes and several images.
//
//	Kind × image × rates × order of the mirrors ─→ lab.Run ─→ a table
package corrupt
