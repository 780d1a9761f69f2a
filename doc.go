// Package segpull pulls container images from many mirrors at once, each into
// one archive that docker load reads.
//
//	reference ─→ sources.Set ─→ image.Resolve ─→ one digest; all later requests are by digest
//	                                  │
//	        places.plan: the output, named after the real platform
//	                                  │
//	        archive.Plan: the offset of each blob in the archive
//	                                  │
//	   state.Store: what is there already ─→ what is missing
//	                                  │
//	   transfer.Transfer: fetch, hash, repair ─→ every digest is right
//	                                  │
//	        archive: what is between the blobs ─→ fsync, rename
//
// Guaranteed:
//   - The output appears whole and verified, or not at all.
//   - Whatever ends a pull, even a kill at any moment, the same call continues
//     from what the sidecar records, also with other mirrors, limits and connections.
//   - Memory does not depend on the sizes of the blobs.
//   - Every wait ends with the context.
package segpull
