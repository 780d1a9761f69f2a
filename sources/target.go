package sources

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/internal/credentials"
)

// Target is a registry to push to. It is reached as a source is: with the settings of its
// [mirror.REGISTRY] table, and the login that is stored for it. It is safe for concurrent
// use. The methods of its errors are those of the errors of Source.Open.
type Target struct{ source *Source }

// NewTarget returns the registry with a name, such as harbor.example or localhost:5000,
// without a connection. warn gets lines that the user should know. If the name or the
// settings are invalid, the error is a *[UsageError]. Close the Target after use.
func NewTarget(cfg Config, logins *Logins, registry string, warn func(message string)) (*Target, error) {
	if !isRegistry(credentials.Canonical(registry)) {
		return nil, &UsageError{registry, []error{noRegistry(registry)}}
	}
	registry = credentials.Canonical(registry)
	e, err := naming{cfg: cfg, images: Images{Registry: registry}}.endpoint(registry, true)
	if err != nil {
		return nil, &UsageError{registry, []error{err}}
	}
	e.push = true
	source, err := e.open(registry, logins, warn)
	if err != nil {
		return nil, &UsageError{registry, []error{err}}
	}
	if !e.verified() {
		warn(e.warning().Error())
	}
	return &Target{source}, nil
}

// Registry returns the name of the registry, as references have it.
func (t *Target) Registry() string { return credentials.Canonical(t.source.at.name) }

// Digest returns the digest that the registry gives for a tag, "" if it has no such tag.
func (t *Target) Digest(ctx context.Context, repository, tag string) (digest.Digest, error) {
	d, err := t.source.client.Claim(ctx, repository, tag)
	if missing(err) {
		return "", nil
	}
	return d, t.explain(err)
}

// Has reports whether the registry has a blob in a repository.
func (t *Target) Has(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	has, err := t.source.client.Has(ctx, repository, d)
	return has, t.explain(err)
}

// Mount makes a repository have a blob that the registry has in the repository from, and
// reports whether the registry did that for the login.
func (t *Target) Mount(ctx context.Context, repository, from string, d digest.Digest) (bool, error) {
	mounted, err := t.source.client.Mount(ctx, repository, from, d)
	return mounted, t.explain(err)
}

// Upload puts a blob into a repository: it mounts it from the repository from, unless that
// is "", or sends what open returns, from its start, perhaps more than once.
func (t *Target) Upload(ctx context.Context, repository, from string, b ocispec.Descriptor, open func() io.Reader) (mounted bool, err error) {
	mounted, err = t.source.client.Upload(ctx, repository, from, b, open)
	return mounted, t.explain(err)
}

// PutManifest puts a manifest or an index into a repository, under a tag or its digest.
// What it refers to has to be there.
func (t *Target) PutManifest(ctx context.Context, repository, reference, mediaType string, body []byte) error {
	return t.explain(t.source.client.PutManifest(ctx, repository, reference, mediaType, body))
}

// Close closes the idle connections.
func (t *Target) Close() { t.source.client.Close() }

func (t *Target) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("push: %w", t.source.explain(err))
}
