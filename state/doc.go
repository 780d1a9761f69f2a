// Package state remembers, through any crash, which bytes of an image's blobs
// are on disk and who served them.
//
// A Store is a folder of two files. The part file holds the blobs, each at an
// offset that the caller chose; it may be the archive-to-be. The sidecar is a
// log: a header that says which blob lies where, then a record for each run of
// bytes that was written, with its CRC-32C and the source that it came from.
//
//	Blob.Write ─→ pwrite to the part file ─→ record in memory and in the log
//	                                                  │
//	Blob.Read  ←─ pread, CRC checked ←────────────────┘
//
// Guaranteed:
//   - A record is written after its bytes were; and it is believed only where
//     its checksum is that of the bytes on disk when they are read. So it does
//     not matter in which order a crash let them reach the disk: what is
//     damaged is found, and wanted again; nothing else is.
//   - A byte that is recorded is not written again while it is believed.
//   - Two processes never share a Store: the second gets a *LockedError.
//   - Nobody but the user can read the folder, and nothing in it is followed
//     out of it.
//
// A Store is safe for concurrent use.
package state
