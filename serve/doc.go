// Package serve is the pull half of the OCI distribution API over a cache and running
// transfers: container engines pull through it as from a registry.
//
//	GET /v2/NAME/manifests/TAG ─→ tag: the cache, for TagTTL ─→ Upstream ─→ cache.PutManifest
//	                                                                │
//	                                 stale, where nobody answers ←──┘
//
//	GET /v2/NAME/blobs/DIGEST ─→ in the cache ─→ sendfile
//	                          └→ download, one for each digest ─→ transfer ─→ Part.Commit
//	                                  ├→ Transfer.Send to each client, while the bytes arrive
//	                                  └→ cache.Follow, while another process fetches them
//
// # Names
//
// ?ns=REGISTRY names the registry, as containerd does; else the first part of NAME, if it
// is a host that Upstream serves, as podman's mirrors need it; else it is Docker Hub.
// A registry that a client names is only looked up: Upstream decides whom to ask.
//
// # Guarantees
//
//   - No client gets the last 1 MiB of a blob (1 % of small ones) before the digest is
//     right. One that got bytes which were replaced since is cut off.
//   - A blob is downloaded once, however many clients ask for it, in this process or in
//     others that use the cache. The download goes on for a minute without any client,
//     and then pauses: its bytes stay in the cache.
//   - No answer asks the client for a login, and none but those about a shutdown has a
//     status of 5xx: engines would wait and ask again before they ask another registry.
//   - A manifest is served only if its blobs can be had, as far as that is known.
//   - Every wait for a source or a client has a limit.
package serve
