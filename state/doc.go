// Package state records which bytes of an image's blobs are on disk and which
// source served them, so that the record survives any crash.
//
// A Store is a directory beside the output. Its part file holds the blobs, each
// at an offset that the caller chose; it may become the archive. Its sidecar
// is a log: a header with the offset of each blob, then a record for each run
// of bytes that was written, with its CRC-32C and its source. Opening the
// directory again takes over the recorded bytes, and copies them if the offsets
// of the blobs have changed.
//
//	Blob.Write, Replace ─→ pwrite to the part file ─→ record in the log and in memory
//	                                                               │
//	Blob.Read           ←─ pread, CRC checked ←────────────────────┘
//
// Guaranteed:
//   - A record is written after its bytes, and it counts only if its checksum is
//     that of the bytes on disk when they are read. So the order in which they
//     reach the disk before a crash does not matter: a Store finds damaged
//     bytes, and only these are fetched again.
//   - Records have fixed places and supersede earlier ones that they overlap: a
//     torn or lost record costs only itself.
//   - Only Replace writes a recorded byte again.
//   - An output appears whole or not at all.
//   - Two processes never share a Store: the second gets a *LockedError.
//   - Only the user can read the directory, and a Store follows no link out of
//     it; files in it that are not the Store's stay as they are.
//   - A temporary error (no descriptor left, a disk that can't be read) fails
//     Open, which does not discard what is there.
//
// A Store is safe for concurrent use. It knows no clock.
package state
