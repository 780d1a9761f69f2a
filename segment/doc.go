// Package segment divides blobs into segments, decides which source fetches
// which one next, and fetches them.
//
// A Fetch owns a scheduler. The scheduler is pure: the Fetch reports what
// happened and when, and the scheduler returns the next request to make. The
// Fetch makes the requests, one goroutine each, and writes what arrives to a
// Sink:
//
//	Want ─→ scheduler ─ task ─→ Opener.Open ─→ body ─→ Limiter ─→ Sink.Write
//	            ↑                                 │
//	            └── opened, advance, end, tick ───┘
//
// Guarantees:
//   - A Fetch requests every byte that is wanted until it arrives, from the
//     source that is likely to bring it first. What a request leaves when it
//     breaks off, it requests again, from any source.
//   - A Fetch uses a body only as the range that the answer says it is. It
//     reads a whole blob in answer to a range from its first byte, once, while
//     other sources fetch it from the end.
//   - All waits end with the context, and what has arrived by then is in the
//     sink.
//   - Memory does not depend on the sizes of the blobs: a block for each
//     connection, and a few words for each range that is split off.
package segment
