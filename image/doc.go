// Package image names an image, and resolves its reference to the one manifest of a platform.
//
// # Flow
//
// [ParseReference] reads what a user types as Docker reads it. [Resolve] asks a [Fetcher] for what the
// reference names, descends through an index to the manifest of the wanted [Platform], checks it, and
// returns an [Image]: the manifest's exact bytes and the descriptors of all blobs. Where no index says what
// platform a manifest is for, Resolve reads its config, and keeps that as the content of its descriptor.
// Content that a descriptor holds itself is used if it has the digest and the size. Nothing here opens a
// connection or a file.
//
// Resolve rejects an answer to a tag that does not lead to a usable image, and asks the Fetcher, which then
// skips that source, for the tag again.
//
// # Guarantees
//
// After the answer to a tag, all requests name digests, and Resolve asks for a tag again only after it
// rejected the answer. An [Image] that Resolve returned
// passed [Image.Validate]: all its digests are well-formed SHA-256, so that they are safe as file names;
// all its sizes are within bounds, so that they are safe to add up and to allocate; and one digest has one
// size. Texts of a registry appear in errors quoted, never raw.
package image
