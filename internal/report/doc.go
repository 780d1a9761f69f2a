// Package report draws a pull as one page of HTML: a lane for each mirror with its
// requests, the throughput, and which mirror sent which part of each layer.
//
// A Recorder is the segpull.Observer of the pull. The page needs no script, loads
// nothing (its policy is default-src 'none'), and follows the reader's choice of light or
// dark.
//
// The page has no user, password, token or signature: what the events quote is without
// them, and Write removes them again from URLs, from Authorization values, and from the
// arguments of the command.
//
// Memory and page are bounded: a Recorder keeps at most 50,000 requests and 200 messages,
// and the page joins what would be narrower than a pixel or two.
package report
