// Package verify hashes a blob in order while it arrives out of order.
//
//	bytes at their offsets ─→ Source.Read, in order ─→ SHA-256 ─→ nil or *MismatchError
//
// Guaranteed: Blob returns nil only if the SHA-256 of all bytes of the blob,
// as they were read from the source from first to last, is its digest.
package verify
