// Package registry implements the distribution protocol with one host.
//
// A [Client] requests manifests and ranges of blobs. A request passes these layers
// downwards, and its response upwards:
//
//	Manifest, Blob, Foreign     checks of the answer: range, length, encoding, digest
//	opener                      redirects, one by one
//	authorizer                  challenge, login, token, the request again
//	retryablehttp.Client        a few short retries until the headers are there
//	hostTransport               headers of this host, bounded error bodies
//	http.Transport              HTTP/1.1 only; guard dials
//
// Guarantees:
//
//   - A [Stream] has the requested range, or the beginning of it, or the blob from
//     its first byte. The client uses bytes only if the answer says where they
//     belong; if a host refuses a range or its answer is unusable, the client
//     requests the whole blob. A stream never has more bytes than it says, and
//     fewer only with an error. The client does not check the digest of a blob: a
//     range has none.
//   - A manifest has at most 4 MiB. If it was requested by digest, it has that
//     digest.
//   - A host gets the login that is stored for it and the repository, and no
//     other. Extra headers and client certificates go only to the configured host.
//     A host that a redirect leads to may request its own login, if the URL is one
//     of a registry's API.
//   - The client follows no redirect of an https host at a public address to http,
//     nor to an address that is not public, unless [Config] allows it. Behind a
//     proxy, which resolves the names, it can check only literal addresses. The
//     proxies themselves may have any address.
//   - No error has a secret: it has only scheme and host of other hosts' URLs, and
//     the path of the configured host's.
//   - The methods of an [Error] say whether a second request can help.
//   - Every wait ends with its context. The headers of a manifest arrive within
//     30 s, or there is an error. The headers and the body of a blob have no limit
//     of time: the reader decides what is slow. A connection whose other end is
//     gone fails within about a minute.
//
// A Client is safe for concurrent use.
package registry
