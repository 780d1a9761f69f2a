// Package segment plans blobs into segments, decides which source fetches
// what next, and carries it out.
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
// Guaranteed:
//   - Every byte that is wanted is asked for until it arrives, of the
//     source that is likely to bring it first; what a request leaves when it
//     breaks off is asked for again, of any source.
//   - A body is used only as the range that it says it is. A whole blob in
//     answer to a range is read from its first byte, once, while other sources
//     fetch it from the end.
//   - All waits end with the context, and what has arrived by then is in the
//     sink.
//   - Memory does not depend on the sizes of the blobs: a block for each
//     connection, and a few words for each range that is split off.
package segment
