// Package segpull pulls container images from several mirrors at the same time,
// each into an archive that docker load reads.
//
// Pull does all of it, and Inspect tells what it would do. This is the way of one image through the packages:
//
//	reference ─→ sources.Set ─→ image.Resolve ─→ one digest; all later requests name digests
//	                                  │
//	        output.Places: the archive, named after the real platform
//	                                  │
//	        archive.Plan: the offset of each blob in the archive
//	                                  │
//	   state.Store: what is on disk already ─→ what is missing
//	                                  │
//	   download.Download: fetch, hash, repair ─→ every digest is right
//	                                  │
//	        Place.Write: what is between the blobs ─→ fsync, rename
//
// Guarantees:
//   - The output appears complete and verified, or not at all.
//   - Whatever ends a pull, even a kill at any moment, the same call continues
//     from what is on disk, also with other mirrors, limits and connections. The
//     directory OUTPUT.segpull has these bytes until the output is complete.
//   - Memory does not depend on the sizes of the blobs.
//   - Every wait ends with the context.
package segpull
