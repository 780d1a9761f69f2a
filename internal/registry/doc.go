// Package registry implements the distribution protocol with one host.
//
// A [Client] asks for manifests and for ranges of blobs. A request goes down
// through these, and its response comes back up:
//
//	Manifest, Blob, Foreign     checks of the answer: range, length, encoding, digest
//	opener                      redirects, one by one
//	authorizer                  challenge, login, token, the request once more
//	retryablehttp.Client        a few short retries until the headers are there
//	hostTransport               headers of this host, bounded error bodies
//	http.Transport              HTTP/1.1 alone; dialing under guard
//
// What is guaranteed:
//
//   - A [Stream] holds the range that was asked for, or its beginning, or the
//     blob from its first byte. The client uses bytes only where the answer says
//     where they belong; where a range is refused or its answer is unusable, it
//     asks for the whole blob. A stream never yields more bytes than it says,
//     and fewer only with an error. The client does not check the digest of a
//     blob: a range has none.
//   - A manifest is at most 4 MiB; asked for by digest, its bytes match.
//   - A host gets the login that is stored for it and the repository, and no
//     other. Extra headers and client certificates go only to the
//     configured host. A host that a redirect leads to may ask for its own login, where a
//     registry's API is.
//   - The client follows no redirect of an https host at a public address to
//     http, nor to an address that is not public, unless [Config] allows it.
//     Behind a proxy, which resolves the names, it checks only addresses that
//     are written as such. The proxies themselves may be anywhere.
//   - No error carries a secret: of URLs only scheme and host are kept, and of
//     the host's own URLs the path.
//   - An [Error] says whether trying again can help: see its methods.
//   - Every wait ends with its context. Until the headers of a manifest at most
//     30 s pass. A blob's headers and its body have no limit of time: the
//     reader decides what is slow. A connection whose other end is gone fails
//     within about a minute.
//
// A Client is safe for use by several goroutines at the same time.
package registry
