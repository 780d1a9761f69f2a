// Package image parses references to images, and resolves a reference to the
// manifest for one platform.
//
// # Flow
//
// [ParseReference] reads a reference as Docker does. [Resolve] asks a [Fetcher] for
// the manifest or index that the reference names, descends through the index to the
// manifest of the wanted [Platform], checks it, and returns an [Image]: the exact
// bytes of the manifest and the descriptors of all blobs. If an index has several
// manifests and gives no platforms, Resolve reads their configs. If a descriptor
// holds its content itself (data), and that has the digest and the size, Resolve
// uses it. The package opens no connections and no files.
//
// If the answer to a tag does not lead to a usable image, Resolve rejects it and
// requests the tag again; the Fetcher then skips the source of that answer.
//
// # Guarantees
//
// After the answer to a tag, all requests name digests. Resolve requests a tag again
// only after it has rejected the answer. An [Image] from Resolve has passed
// [Image.Validate]: all its digests are well-formed SHA-256, so they are safe as
// file names; all its sizes are within bounds, so they are safe to add and to
// allocate; and one digest has one size. Errors quote the text of a registry.
package image
