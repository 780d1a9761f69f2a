// Package layer reads a layer of an image as a stream: it decompresses it, and
// finds where it breaks.
//
//	bytes ─→ Decompress ─→ tar ─→ FindBreak: the offset of the first byte that does not fit
//
// A break is a hint, not a proof: not every wrong byte breaks the stream, and
// a blob may not be a layer at all.
package layer
