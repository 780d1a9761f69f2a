// Package sources is the mirrors: their names, how each is reached, and which of
// them resolve tags.
//
// # Flow
//
//	names (--mirror, or the configuration's, or none)
//	   → what each stands for: a URL, a registry, a preset, a [mirror.NAME] table
//	   → one address for the image's registry, each once
//	   → a Source, with its certificates, proxy, headers and credentials
//	   → a Set, which fetches manifests and configs (image.Fetcher) and hands out Sources for blobs
//
// [LoadConfig] reads the user's file, and presets.toml is embedded. A table
// with the name of a preset changes the preset; one with the name of a registry
// says how that registry itself is reached.
//
// # Guarantees
//
//   - The errors report each named source that cannot be used, with what to do;
//     the set has the others.
//   - A source whose answer to a tag was rejected is not asked for that tag
//     again, and the next that is trusted for tags is; see [Set.Reject].
//   - The order of names decides which source resolves a tag; see [Set.Fetch].
//     One with tags = false is never asked by tag.
//   - A mirror that does not say which registries it mirrors is used by
//     default only for Docker Hub's images: other registries have other images
//     by the same names. A pull that names the mirror uses it for any registry.
//   - What is fetched by digest matches the digest.
//   - Certificates are checked, except for the host of a table with tls-verify =
//     false: each run warns of it, it is not trusted for tags unless tags =
//     true, and it gets no credentials.
//   - Logins, as docker login and podman login stored them, go only to their own
//     host: those of a registry never to its mirrors. They appear in no error.
//     Their files are read once, when a host first asks.
//   - Registries on loopback (localhost, *.localhost, 127.0.0.0/8, ::1), and
//     those that the configuration lists as insecure, are asked by https and,
//     where the port does not speak TLS, by http; an https:// URL is always
//     HTTPS.
package sources
