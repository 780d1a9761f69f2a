// Package segpull pulls container images from many mirrors at once, each into
// one archive that docker load takes.
//
//	reference ─→ sources.Set ─→ image.Resolve ─→ one digest; from here on all is fetched by digest
//	                                  │
//	        places.plan: the output, named after the real platform
//	                                  │
//	        archive.Plan: where each blob lies in the archive-to-be
//	                                  │
//	   state.Store: what is there already ─→ what is missing
//	                                  │
//	   transfer.Transfer: fetch, hash, repair ─→ every digest is right
//	                                  │
//	        archive: what stands between the blobs ─→ fsync, rename
//
// Guaranteed:
//   - The output appears whole and verified, or not at all.
//   - Whatever ends a pull, a kill at any moment too, the same call goes on
//     from what was recorded, also with other mirrors, limits and connections.
//   - Memory does not depend on the sizes of the blobs.
//   - Every wait ends with the context.
package segpull
