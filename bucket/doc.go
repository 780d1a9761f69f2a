// Package bucket keeps verified blobs in a bucket of S3, or of a server that speaks its
// protocol, for several servers and pulls: a second level behind their caches.
//
//	Begin ─→ is the blob there? ── yes ─→ Found: Open reads ranges of it
//	             │ no
//	         claim it ── another has ─→ look again, until the blob is there or the claim ends
//	             │
//	         the caller fetches and verifies it ─→ Put, in the background ─→ the claim ends
//
// Objects, below the prefix:
//
//	sha256/HEX   a blob; a manifest or an index has its media type as Content-Type
//	claims/HEX   a claim: somebody fetches the blob; made by If-None-Match, renewed and
//	             taken over by If-Match; it ends a time after S3 has last modified it, by
//	             the clock of S3
//
// Guarantees:
//   - A blob appears whole or not at all, after Put has hashed the bytes that it sends.
//   - The bucket is only a help: no method of a [Turn] fails, and each wait is bounded and
//     ends with its context. After failures the bucket is left alone for a while, which
//     doubles up to two minutes. While it is full, nothing is put.
//   - What Open returns is not verified; the caller hashes it. Read verifies.
//   - No error and no message has a credential.
package bucket
