// Package cache keeps verified blobs by digest in a directory, with an index of what
// they are, and evicts the images that were least recently used. Several processes use
// one directory at the same time: pulls, a server, and the commands that list, verify
// or export it.
//
//	Begin ─→ Part ─→ its state.Store, filled by a transfer ─→ Commit ─→ blobs/sha256/HEX
//	                                                                         │
//	PutManifest, SetName ─→ records, names                        Open ←─────┤
//	                            │                                            │
//	                            └─→ Room: which images to evict ─→ removed ←─┘
//
// # The directory
//
//	blobs/sha256/HEX                a blob, whole and verified
//	records/HE/X…                   what is known of it: media type, size, what a manifest refers to
//	names/REGISTRY/REPOSITORY/@TAG  the digest of a tag, when it was asked for, and who answered
//	parts/HEX.segpull/              a blob that is being fetched, as package state keeps it
//	lock                            held while records and names change
//	new                             one of these that is being written
//
// There is no database: a pull, a server and a command would lock each other out of
// one. Records and names are JSON. ":" is "+" in their paths. A blob was last used when
// its record was modified.
//
// # Guarantees
//
//   - A blob appears in blobs by rename, whole and with the right bytes. After a kill
//     at any moment, the next use continues from what is there.
//   - A blob whose file has another size or modification time than when it was verified
//     is hashed again before it is used. A wrong one is removed, so that it is fetched
//     again. A wrong or lost record costs only that hashing.
//   - One Part exists for a blob, in all processes. Its lock ends with its process, and
//     the next Part continues with what has arrived.
//   - The cache does not fill its disk: Room leaves 5 % of it free, or 10 GiB.
//   - Eviction removes no blob that a kept manifest refers to, and no running Part. A
//     file that is open stays readable.
//   - Every wait ends with the context.
//
// The cache creates the directory for its user alone. Whoever can write to it is trusted,
// as with the user's other files. A Cache is safe for concurrent use.
package cache
