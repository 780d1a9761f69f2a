// Package registry speaks the distribution protocol to one host.
//
// A [Client] asks for manifests and for ranges of blobs. A request goes down
// through these, and its response comes back up:
//
//	Manifest, Blob, Foreign     what was asked for is checked: range, length, digest
//	redirects, one by one       no secret leaves for another host
//	oras auth.Client            challenge, token, the request once more
//	authTransport               which challenge, which token server
//	retryablehttp.Client        a few short retries until the headers are there
//	hostTransport               headers of this host, bounded error bodies
//	http.Transport              HTTP/1.1 alone; dialing under guard
//
// What is guaranteed:
//
//   - A [Stream] holds exactly the range that was asked for, or, when the
//     server answered 200, the blob from its first byte. It never yields more
//     bytes than that, and fewer only with [io.ErrUnexpectedEOF]. The digest
//     of a blob is not checked here: a range has none.
//   - A manifest is at most 4 MiB; asked for by digest, its bytes match.
//   - Credentials and extra headers go to the configured host alone, and from
//     there to the token server that it names. Redirects carry neither.
//   - A host that is reached over https at a public address can send nobody to
//     http, nor to an address that is not public. Behind a proxy, which
//     resolves the names, only addresses written as such are seen.
//   - No error carries a secret: of URLs only scheme and host are kept, and of
//     the host's own URLs the path.
//   - Every wait ends with its context. Until the headers of a manifest at most
//     30 s pass, for a blob 120 s. A body has no time-out of its own: whoever
//     reads it knows what is slow.
//
// A Client is safe for use by several goroutines at the same time.
package registry
