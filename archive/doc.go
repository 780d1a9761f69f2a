// Package archive writes verified blobs as an archive or a directory that container tools read.
//
// # Formats
//
//   - docker-archive, the default, is two in one: an OCI layout and, beside it, the manifest.json that
//     docker load reads. Layers stay as the registry compressed them.
//   - oci-archive is the same without manifest.json.
//   - oci is that layout as a directory; one that exists is added to.
//   - legacy is what docker save wrote up to version 24, its layers decompressed.
//
// # Flow
//
// All sizes in the first two are known from the image's manifest, so [Plan] lays the archive out before a
// blob is fetched: each blob is downloaded straight to its [Layout.Offset], and [Layout.Finish] writes what
// stands between. [Write] makes the same bytes as one stream, from blobs that are elsewhere. [WriteDir]
// fills a directory.
//
// An image is listed as [image.Image.ArchiveName] says, in every format; without one it has no name.
//
// # Guarantees
//
// The same image gives the same bytes: entries are in a fixed order, the small ones first, and all times
// are the epoch. Manifest, config and layers are bit by bit what the registry served, but for legacy, which
// checks each decompressed layer against its diff ID. All entries are named after digests, so no name from
// a registry leads out of the archive or the directory. Memory does not depend on the size of the image.
//
// A blob is trusted to be what its digest says; whoever gives it has verified it.
package archive
