// Package hostconf reads how the container engines of a machine are configured to reach
// a registry: from which hosts, in which order, and with how much trust.
//
//	containerd   certs.d/HOST/hosts.toml, the first root that has a directory for HOST
//	docker       docker info, or else daemon.json: registry-mirrors, for Docker Hub only
//	containers   registries.conf and registries.conf.d, for podman, skopeo, buildah, CRI-O
//
// Each becomes a list of [Host], in the order in which the engine asks them. The package
// makes no request, and follows the engines' own readers, which the functions name.
//
// # Guarantees
//
//   - A file with one mistake is ignored as a whole, as by containerd, and reported
//     with its path. So is a file above 1 MiB.
//   - The name of a registry leads to no directory outside the roots.
//   - Any bytes in a file give hosts or an error.
package hostconf
