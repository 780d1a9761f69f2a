// Package deliver gives images to what keeps them besides archives: a container engine on
// this machine, a registry, or a server that fetches them itself.
//
//	Load:    an archive, or a directory of blobs ─→ the engine's own command
//	Push:    Has, Find: what is there ─→ Blobs, while they arrive ─→ Manifests, the tag last
//	Ask:     the last byte of each blob, which the server sends when the blob is verified
//
// Every wait ends with the context.
package deliver

import (
	"context"
	"io"
)

// Content is where the blobs of an image are, by an index.
type Content interface {
	// Wait waits until blob i is verified. The error says little: whoever fetches the blob
	// knows why it failed.
	Wait(ctx context.Context, i int) error
	// Section returns a reader of blob i, which is verified.
	Section(i int) *io.SectionReader
}
