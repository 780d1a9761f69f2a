// Package state records which bytes of an image's blobs are on disk and which
// source served them, so that the record survives any crash.
//
// A Store is a directory beside the output. Its part file has the blobs, each at an
// offset that the caller chose, and may become the output. Its sidecar is a log: a
// header with the offset of each blob, then a record for each range of bytes that
// was written, with its CRC-32C (RFC 3720, appendix B.4) and its source. Open takes
// over the recorded bytes of an earlier Store, and copies them if the offsets of
// the blobs have changed. docs/architecture.md describes the format of the log.
//
//	Blob.Write, Replace ─→ pwrite to the part file ─→ record in the log and in memory
//	                                                               │
//	Blob.Read           ←─ pread, CRC checked ←────────────────────┤
//	Follower.Read       ←─ the same, in any process, by the log ←──┘
//
// Guarantees:
//   - A record is written after its bytes, and counts only if its checksum is that
//     of the bytes on disk at the time of a read. So the order in which bytes and
//     records reach the disk before a crash does not matter: a Store finds damaged
//     bytes, and only these are fetched again.
//   - A record has a fixed size and place, and supersedes the earlier records that
//     it overlaps. If one is torn or lost, the others stay valid.
//   - Only Replace writes to bytes that are recorded.
//   - An output appears complete or not at all.
//   - Two processes never share a Store: the second gets a *LockedError.
//   - Only the user can read the directory. A Store follows no link out of it, and
//     does not change files in it that do not belong to it.
//   - After a temporary error (no free descriptor, a disk that is not readable),
//     Open fails, and all files stay.
//
// A Store and its Blobs are safe for concurrent use.
package state
