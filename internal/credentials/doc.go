// Package credentials finds the login that docker login or podman login stored
// for a registry and a repository. It writes nothing.
//
// # Flow
//
//	Find(host, repository)
//	   → each file in order, read when it is first needed
//	      → the helper that the file names for the host: credHelpers, else credsStore
//	      → the file's own entries: auths, the longest matching key first
//	   → the first login that is not empty
//
// The files are the authfile alone where one is given, else $REGISTRY_AUTH_FILE;
// $DOCKER_CONFIG/config.json or ~/.docker/config.json;
// $XDG_RUNTIME_DIR/containers/auth.json or /run/containers/UID/auth.json; and
// $XDG_CONFIG_HOME/containers/auth.json
// or ~/.config/containers/auth.json. The formats are those of docker's
// config.json and of containers-auth.json(5).
//
// A key of a file is a host or a repository below it: for h/a/b, the keys
// h/a/b, h/a and h match in this order, with or without a scheme, the default
// port, a trailing slash and the protocol's root /v1/ or /v2/.
//
// # Guarantees
//
//   - A login comes from a key that is the host or a path above the repository,
//     never from that of another repository. Which of several keys wins does
//     not depend on the order of a map.
//   - A fault of a file or a helper does not end the search: Find reports it
//     once, with what to do, and asks the next place. Find fails only when its
//     context ends.
//   - No message and no printed [Login] holds a secret. Messages
//     quote only the keys of a file and the names of its helpers, and the error
//     of a helper unless it looks like a secret.
//   - A file is at most 1 MiB, and a regular one. A helper may print 64 KiB, and
//     takes at most 10 s; after that it and its children are killed, and it is
//     not asked again. The helper ends before that if no caller waits for it.
//   - A helper is asked once for a server and at most twice for a host, however
//     many callers wait. It is asked again only after a failure.
//
// A helper runs without a terminal of its own: one that wants a passphrase
// needs a window or an agent to ask for it, within the 10 s.
package credentials
