// Package client pulls an image from a registry by the distribution API, as a
// container engine does, checks each digest, and says when the bytes came.
//
//	HEAD of the tag ─→ index and manifest by digest ─→ config and layers ─→ SHA-256 ─→ Blob
package client
