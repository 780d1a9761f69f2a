// Package transfer fetches a set of blobs from several mirrors to disk, hashes
// them, and repairs those with wrong bytes.
//
//	Scheduler ─ Task ─→ source.Open ─→ body ─→ Limiter ─→ state.Blob.Write ─→ part file, then record
//	    ↑                                                                          │
//	    └── want again, trust, hold ── verify.Search ←─ CRC-32C checked ←─ state.Blob.Read
//
// It does not know archives and references: it gets descriptors, sources and a
// place on disk, and says when each blob is right (Wait). While it runs,
// callers may add blobs (Add), read them from any number of goroutines (Send),
// and give them up (End).
//
// Guarantees:
//   - Run returns nil only when each blob has the bytes that its digest names.
//   - It never excludes a source that sends right bytes. It does not use a
//     source any more that sent wrong ones, as long as there is another.
//   - Whatever ends Run, the store has a record of what has arrived.
//   - Every wait ends with the context.
package transfer
