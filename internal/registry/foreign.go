package registry

import (
	"context"
	"errors"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxForeign bounds how many hosts a manifest can name for a layer.
const maxForeign = 4

// Foreign asks for the bytes [start, end) of blob b at the first of urls that
// serves it, as Blob does. The URLs come from a manifest, so only the first
// four are asked, without credentials, and over http and https at public
// addresses alone. The error is that of the last URL.
func (c *Client) Foreign(ctx context.Context, urls []string, b ocispec.Descriptor, start, end int64) (*Stream, error) {
	var last error = &Error{Op: "blob", Source: c.name, Where: b.Digest.String(), Code: "BLOB_UNKNOWN", Message: "the layer has no foreign URL"}
	for _, raw := range urls[:min(len(urls), maxForeign)] {
		u, err := foreignURL(raw)
		if err != nil {
			last = &Error{Op: "blob", Source: c.name, Where: b.Digest.String(), Err: err}
			continue
		}
		s, err := c.stream(ctx, fetch{op: "blob", at: place{url: u, plain: true}, via: c.foreign}, b, start, end, c.open)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		last = err
	}
	return nil, last
}

func foreignURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || !mayName(new(url.URL), u) {
		return nil, errors.New("a foreign URL of the layer is not a plain http or https one")
	}
	return u, nil
}
