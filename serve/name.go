package serve

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/segpull/segpull/image"
)

// dockerHub is the registry where the request names none.
const dockerHub = "docker.io"

// kind is what a request is for.
type kind string

const (
	kindPing     kind = "ping"
	kindManifest kind = "manifest"
	kindBlob     kind = "blob"
)

// target is what the URL of a request names.
type target struct {
	kind      kind
	name      string // repository, perhaps with a registry before it
	reference string // tag or digest
	registry  string // from the query; "" if it has none
}

// parseURL reads the URL of a request. The error says what is not supported.
func parseURL(u *url.URL) (target, error) {
	rest, ok := strings.CutPrefix(u.Path, "/v2/")
	if rest == "" && ok || u.Path == "/v2" {
		return target{kind: kindPing}, nil
	}
	for _, k := range []kind{kindManifest, kindBlob} {
		part := "/" + string(k) + "s/"
		if i := strings.LastIndex(rest, part); ok && i > 0 {
			return target{k, rest[:i], rest[i+len(part):], strings.ToLower(u.Query().Get("ns"))}, nil
		}
	}
	return target{}, errors.New("segpull serve has only manifests and blobs")
}

// resolve returns the reference of the target, with a digest or a tag. serves reports
// whether a registry may be served.
func (t target) resolve(serves func(registry string) bool) (image.Reference, error) {
	registry, repository := t.registry, t.name
	if registry == "" {
		registry = dockerHub
		first, rest, several := strings.Cut(t.name, "/")
		if first = strings.ToLower(first); several && isHost(first) && serves(first) {
			registry, repository = first, rest
		}
	}
	if registry == "registry-1.docker.io" || registry == "index.docker.io" {
		registry = dockerHub
	}
	if !serves(registry) {
		return image.Reference{}, fmt.Errorf("the registry %.100q is not served: name it in the configuration of segpull", registry)
	}
	separator := ":"
	if t.kind == kindBlob || strings.Contains(t.reference, ":") {
		separator = "@"
	}
	ref, err := image.ParseReference(registry + "/" + repository + separator + t.reference)
	if err == nil && ref.Registry != registry {
		err = fmt.Errorf("%.100q is not a registry", registry)
	}
	return ref, err
}

// isHost reports whether the first part of a name is a host, as in references.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }
