// Package client pulls an image from a registry by the distribution API, as a
// container engine does, checks each digest, and says when the bytes came.
//
//	manifest by tag ─→ config and layers, all at once ─→ SHA-256 ─→ Blob
package client
