// Package sources turns names of mirrors into sources: it knows how to reach each
// of them, and which of them resolve tags.
//
// # Flow
//
//	names (--mirror), or those of the configuration, hosts of engines, and the registry itself
//	   → what each name means: a URL, a registry, a preset, a [mirror.NAME] table
//	   → one address for the image's registry, without duplicates
//	   → a Source, with its certificates, proxy, headers and credentials
//	   → a Set, which fetches manifests and configs (image.Fetcher) and hands out Sources for blobs
//
// [LoadConfig] reads the user's file, [FindEngines] those of containerd, Docker and podman;
// presets.toml is part of the binary. A table
// with the name of a preset changes the preset. A table with the name of a
// registry has the settings for that registry itself.
//
// # Guarantees
//
//   - [New] reports each named source that is not usable, and what to do about
//     it. The set has the other sources.
//   - The order of names decides which source resolves a tag, see [Set.Fetch]. A
//     source with tags = false is asked only by digest.
//   - A source whose answer to a tag was rejected gets no second request for that
//     tag; the next source that is trusted for tags does, see [Set.Reject].
//   - A mirror whose table does not name the registries that it mirrors serves,
//     by default, only images of Docker Hub: the same name is another image in
//     another registry. A pull that names the mirror uses it for any registry.
//   - A host of an engine's configuration has the trust that its file gives it: one without
//     resolve, or digest-only, resolves no tags.
//   - A server ([Server]) asks no host that only its clients named, and uses no
//     credentials, except for mirrors with private = true.
//   - The bytes that a set fetches by digest have that digest.
//   - TLS certificates are checked, except for the host of a table with
//     tls-verify = false, or with skip_verify or insecure in the file of an engine. Each run
//     warns of such a host; it gets no credentials, and is not trusted for tags, unless
//     tags = true or the engine's file says so, or no other source is trusted.
//   - The logins that docker login and podman login stored go only to their own
//     host: those of a registry never to its mirrors. No error contains them.
//     Their files are read once, when a host first asks for a login.
//   - Registries on loopback (localhost, *.localhost, 127.0.0.0/8, ::1), and
//     those that the configuration lists as insecure, are asked by HTTPS, and by
//     HTTP if their port does not speak TLS. An https:// URL is always HTTPS.
package sources
