// Package transfer brings a set of blobs from several mirrors to disk: it
// fetches, hashes and repairs them.
//
//	Scheduler ─ Task ─→ source.Open ─→ body ─→ Limiter ─→ state.Blob.Write ─→ part file, then record
//	    ↑                                                                          │
//	    └── want again, trust, hold ── verify.Search ←─ CRC-32C checked ←─ state.Blob.Read
//
// It knows no archive and no reference: it gets descriptors, sources and a
// place on disk, and says when each blob is right (Wait). While it runs, blobs
// may be added (Add), be read by any number of readers (Send), and be given up
// (End).
//
// Guaranteed:
//   - Run returns nil only when each blob has the bytes that its digest names.
//   - A source that sends right bytes is never excluded. One that was found to
//     send wrong ones is not used any more, as long as there is another.
//   - Whatever ends Run, what has arrived is recorded in the store.
//   - Every wait ends with the context.
package transfer
