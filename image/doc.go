// Package image names an image, and resolves its reference to the one manifest of a platform.
//
// # Flow
//
// [ParseReference] reads what a user types as Docker reads it. [Resolve] asks a [Fetcher] for what the
// reference names, descends through an index to the manifest of the wanted [Platform], checks it, and
// returns an [Image]: the manifest's exact bytes and the descriptors of all blobs. Nothing here opens a
// connection or a file.
//
// # Guarantees
//
// A tag is asked for once; from there on everything is named by digest. An [Image] that Resolve returned
// passed [Image.Validate]: all its digests are well-formed SHA-256, so that they are safe as file names;
// all its sizes are within bounds, so that they are safe to add up and to allocate; and one digest has one
// size. Texts of a registry appear in errors quoted, never raw.
package image
