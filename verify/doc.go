// Package verify hashes blobs as they arrive, finds the sources of wrong bytes,
// and repairs the blobs.
//
//	bytes at their offsets ─→ Content.Read, in order ─→ SHA-256 ─→ right, or a mismatch
//	                                 │                                     │
//	                               watch                                 repair
//	                                 │                                     │
//	                        suspect, hold later blobs     splice, elimination, combination
//	                                                                       │
//	                                             exclude sources, replace bytes, want some again
//
// A Search asks mirrors (Origin) for bytes that others served, compares and
// hashes what they send (overlay), and writes to the disk (Blob) only what has
// the right digest. check.go has the steps in the order of their costs; each
// step has a file.
//
// Guarantees:
//   - Search.Blob returns nil only if the SHA-256 of all bytes of the blob, as
//     they were read from the first to the last, is its digest.
//   - A source that sends right bytes is never excluded: each exclusion has a
//     proof. It ends with the process, or after Corrupt.ExcludeFor. Search blames
//     no source for a disk that changes bytes.
//   - Where each byte has a source that sends it right, the blob ends right,
//     within the bounds of combination.go.
//   - All waits end with the context, and none is for one source alone as long
//     as there are others.
package verify
