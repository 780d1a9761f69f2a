// Package state remembers, through any crash, which bytes of an image's blobs
// are on disk and who served them.
//
// A Store is a directory beside the output. Its part file holds the blobs, each
// at an offset that the caller chose; it may be the archive-to-be. Its sidecar
// is a log: a header that says which blob lies where, then a record for each
// run of bytes that was written, with its CRC-32C and the source that it came
// from. Opening the directory again takes over what the records tell, and copies
// it where the blobs are to lie elsewhere.
//
//	Blob.Write, Replace ─→ pwrite to the part file ─→ record in the log and in memory
//	                                                               │
//	Blob.Read           ←─ pread, CRC checked ←────────────────────┘
//
// Guaranteed:
//   - A record is written after its bytes were; and it is believed only where
//     its checksum is that of the bytes on disk when they are read. So it does
//     not matter in which order a crash let them reach the disk: what is
//     damaged is found, and wanted again; nothing else is.
//   - Records stand at fixed places and supersede those before them that they
//     overlap: one that is torn or lost costs itself.
//   - A byte that is recorded is not written again, but by Replace.
//   - An output appears whole or not at all.
//   - Two processes never share a Store: the second gets a *LockedError.
//   - Nobody but the user can read the directory, and nothing in it is followed
//     out of it; files in it that are not the Store's stay as they are.
//   - An error of the moment (no descriptor left, a disk that can't be read)
//     fails Open; it does not make it start anew.
//
// A Store is safe for concurrent use. It knows no clock.
package state
