// Package archive writes verified blobs as an archive or a directory that
// container tools read.
//
// # Formats
//
//   - docker-archive, the default, is a tar file with an OCI image layout (OCI
//     image-spec, image-layout.md) and the manifest.json that docker load reads.
//     Layers stay as the registry compressed them.
//   - oci-archive is the same without manifest.json.
//   - oci is an OCI image layout as a directory. It can hold several images.
//   - legacy is the tar file that docker save wrote up to version 24. Its layers
//     are decompressed.
//
// # Flow
//
// In docker-archive and oci-archive, the image's manifest gives all sizes. So
// [Plan] computes the layout of the archive before a blob is fetched: the caller
// writes each blob directly to its [Layout.Offset], and [Layout.Finish] writes the
// bytes between the blobs. [Write] writes the same bytes, or a legacy archive, as
// one stream. [WriteDir] writes a directory, [WriteTree] one with an index of several
// platforms, [LinkDir] one whose blobs are links to files elsewhere.
//
// In each format, an image has the name that [image.Image.ArchiveName] returns, or
// none if that is zero.
//
// # Guarantees
//
// The same image gives the same bytes: entries are in a fixed order, the small ones
// first, and all times are the Unix epoch. Manifest, config and layers have exactly
// the bytes that the registry served; legacy decompresses the layers, and checks
// each against its diff ID (OCI image-spec, config.md). The names of all entries
// come from digests, so no name from a registry can lead out of the archive or the
// directory. Memory does not depend on the size of the image.
//
// The package does not check the digests of the blobs that the caller gives it.
package archive
