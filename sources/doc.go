// Package sources is the mirrors: what they are called, how each is reached,
// and whose word counts for a tag.
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
//   - A source that was asked for and cannot be used is told, with the way to
//     mend it; the others are used.
//   - A source whose answer to a tag was rejected is not asked for that tag
//     again, and the next that is trusted for tags is; see [Set.Reject].
//   - The order of names says whose word counts for a tag; see [Set.Fetch]. A
//     table with tags = false is never asked by tag.
//   - A mirror that does not say which registries it mirrors is used by itself
//     for Docker Hub's images alone: repositories of the same name are other
//     images elsewhere. Naming it for a pull overrules that.
//   - What is fetched by digest matches the digest.
//   - Certificates are checked, but for the host of a table with tls-verify =
//     false: of that the user is warned, it is not trusted for tags unless tags
//     = true, and it gets no credentials.
//   - Logins, as docker login and podman login stored them, go to the host that
//     they are for: those of a registry never to its mirrors. They appear in no
//     error. Their files are read when a host first asks, and once.
//   - Registries on loopback (localhost, *.localhost, 127.0.0.0/8, ::1), and
//     those that the configuration lists as insecure, are asked by https and,
//     where the port does not speak TLS, by http; an https:// URL is always
//     HTTPS.
package sources
