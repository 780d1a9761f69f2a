package image

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ManifestPlatform is a manifest of an index that gives no platforms, and the
// platform that the manifest's config gives.
type ManifestPlatform struct {
	Digest   digest.Digest // of the manifest
	Platform Platform      // zero if the config gives none
}

// String returns the platform and the digest.
func (m ManifestPlatform) String() string {
	if m.Platform == (Platform{}) {
		return fmt.Sprintf("no platform (%s)", m.Digest)
	}
	return fmt.Sprintf("%s (%s)", m.Platform, m.Digest)
}

// byConfig finds the manifest for the platform in an index whose descriptors give no platforms: the one
// whose config fits best, and of equals the first. Where a manifest or its config is not available, only
// one that fits exactly is taken: the other could fit better.
func (r *resolver) byConfig(ctx context.Context, index fetched) (choice, error) {
	var best choice
	var failure error
	for _, d := range silent(index.Manifests) {
		c, err := r.look(ctx, index, d)
		rank := r.platform.rank(c.platform)
		switch {
		case ctx.Err() != nil:
			return choice{}, context.Cause(ctx)
		case err != nil:
			failure = fmt.Errorf("manifest %s of an index without platforms: %w", d.Digest, err)
		case rank == math.MaxInt:
			return c, nil
		case rank > r.platform.rank(best.platform):
			best = c
		case rank == 0:
			r.note(d.Digest, c.platform)
		}
	}
	if failure == nil && best.body == nil {
		failure = errNoPlatform
	}
	return best, failure
}

// look fetches a manifest of an index, and its config. What turns out to be an index has no platform.
func (r *resolver) look(ctx context.Context, index fetched, d ocispec.Descriptor) (c choice, err error) {
	c.fetched, err = r.enter(ctx, index, d)
	if err == nil && IsManifest(c.MediaType) {
		c.config, c.platform, err = r.config(ctx, *c.Config)
	}
	return c, err
}

// note keeps a manifest that is for another platform.
func (r *resolver) note(d digest.Digest, p Platform) {
	r.silent = append(r.silent, ManifestPlatform{d, p})
	if p != (Platform{}) && !slices.Contains(r.available, p) {
		r.available = append(r.available, p)
	}
}

// silent returns the manifests of an index if there are several and no descriptor gives a platform.
func silent(manifests []ocispec.Descriptor) []ocispec.Descriptor {
	manifests = slices.DeleteFunc(slices.Clone(manifests), isNoImage)
	if slices.ContainsFunc(manifests, func(d ocispec.Descriptor) bool { _, ok := platformOf(d); return ok }) {
		return nil
	}
	if len(manifests) == 1 {
		return nil // candidates has it
	}
	return slices.DeleteFunc(manifests, func(d ocispec.Descriptor) bool { return IsIndex(d.MediaType) })
}

// config returns a config, and the platform that it gives: zero if it is that of an artifact.
func (r *resolver) config(ctx context.Context, d ocispec.Descriptor) ([]byte, Platform, error) {
	if err := checkDescriptor(d, MaxConfigSize); err != nil {
		return nil, Platform{}, unusable("config: %w", err)
	}
	body, ok := Inline(d)
	if !ok {
		var err error
		if body, err = r.fetcher.Blob(ctx, r.ref, d); err != nil {
			return nil, Platform{}, err
		}
	}
	p, _ := ConfigPlatform(body)
	return body, p, nil
}
