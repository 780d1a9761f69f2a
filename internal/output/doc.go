// Package output finds where the archives of a call's images go, and writes them there.
//
//	Options ─→ Places ─→ Place of one image ─→ Check: can it be written?
//	                                        ─→ Plan: the offset of each blob in the part file
//	                                        ─→ Existing: is it there already, complete and right?
//	                                        ─→ Write: what is between the blobs, fsync, rename
//
// Guarantees:
//   - What prevents an archive is found before anything is fetched, as far as it can be
//     known then: a missing directory, a device or a link of the system in its place, two
//     images with one name.
//   - An archive appears complete, or not at all.
package output
