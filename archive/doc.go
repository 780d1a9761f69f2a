// Package archive writes verified blobs as an archive or a directory that container tools read.
//
// # Formats
//
//   - docker-archive, the default, is an OCI layout together with the manifest.json that
//     docker load reads. Layers stay as the registry compressed them.
//   - oci-archive is the same without manifest.json.
//   - oci is that layout as a directory; WriteDir adds to one that exists.
//   - legacy is what docker save wrote up to version 24, its layers decompressed.
//
// # Flow
//
// The image's manifest gives all sizes in the first two, so [Plan] computes the layout of the archive before a
// blob is fetched: the caller writes each blob directly to its [Layout.Offset], and [Layout.Finish] writes what
// is between. [Write] makes the same bytes as one stream, from blobs that are elsewhere. [WriteDir]
// fills a directory.
//
// In every format, the name of an image is its [image.Image.ArchiveName]; without one it has no name.
//
// # Guarantees
//
// The same image gives the same bytes: entries are in a fixed order, the small ones first, and all times
// are the epoch. Manifest, config and layers are bit by bit what the registry served, except in legacy, which
// checks each decompressed layer against its diff ID. The names of all entries come from digests, so no name
// from a registry can leave the archive or the directory. Memory does not depend on the size of the image.
//
// The package trusts that the bytes of a blob match its digest; the caller has verified them.
package archive
