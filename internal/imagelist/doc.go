// Package imagelist reads the images that files name, for segpull --input.
//
// # Forms
//
// The content decides, not the name of the file:
//
//   - Lines: an image in each, with # comments and blank lines.
//   - A Compose file, which compose-go loads as docker compose does: with .env and the
//     environment, extends, include and the profiles of $COMPOSE_PROFILES. The image
//     and the platform of each service count, except of services that are only built
//     or have pull_policy build or never, and volumes of type image.
//   - Kubernetes manifests, as YAML with one or more documents, or as JSON: the image of
//     each entry of containers, initContainers and ephemeralContainers, and
//     image.reference of each entry of volumes, wherever they are. So every workload
//     counts, and most custom resources.
//
// # Guarantees
//
// Read reads at most 16 MiB of a file, and returns at most 10,000 images. It runs no
// program and uses no network. A name that is no image, such as an unrendered template,
// is an entry with an error that begins with FILE:LINE.
package imagelist
