package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/registry"
)

const (
	// tagTimeout is how long sources may take to resolve a tag, all at the same time, and
	// digestTimeout the same for those that are asked by digest afterwards.
	tagTimeout    = 7 * time.Second
	digestTimeout = 4 * time.Second
	// rateTime is shared by all sources, which are measured one after the other, and
	// mostRateTime is the most for one of them.
	rateTime     = 6 * time.Second
	mostRateTime = 2 * time.Second
	// sampleSize is the most bytes that are fetched to measure a rate.
	sampleSize = 8 << 20
)

// Check is what Set.Check found about a source.
type Check struct {
	Source *Source
	// Reachable says whether anything answered at its address.
	Reachable bool
	// Err is why a pull cannot use the source for this image; nil if it can.
	Err error
	// Digest is that of the tag; of a source that does not resolve tags, the digest that it
	// was asked for and has. "" if unknown.
	Digest digest.Digest
	// Latency is how long the answer to a small request takes, and Rate how many bytes
	// arrive in a second. 0: unknown.
	Latency time.Duration
	Rate    float64
	// Ranges says whether the source serves ranges of blobs; nil: unknown.
	Ranges *bool
	// Login is "none" if the source requires no login, "required" if one is missing, "ok"
	// if the stored one is accepted, or "refused".
	Login string
	// TLS is "verified", "unverified" or "none".
	TLS string
	// Quota is what the source says of its budget of requests; nil: nothing.
	Quota *Quota

	image image.Image
}

// Check asks each source of the set for an image of a platform: the manifests, and up to
// 8 MiB of its largest layer. It takes at most 17 s, whatever the sources do. The results
// have the order of the sources.
func (s *Set) Check(ctx context.Context, ref image.Reference, platform image.Platform) []Check {
	checks := make([]Check, len(s.sources))
	ask := func(limit time.Duration, ref image.Reference, wanted func(*Source) bool) {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		var asking sync.WaitGroup
		defer asking.Wait()
		for i, source := range s.sources {
			if wanted(source) {
				asking.Go(func() { checks[i] = s.check(limited, source, ref, platform) })
			}
		}
	}
	byDigest := ref.Digest != ""
	ask(tagTimeout, ref, func(source *Source) bool { return byDigest || source.at.trusted() })
	ref.Digest = cmp.Or(ref.Digest, firstDigest(checks))
	ask(digestTimeout, ref, func(source *Source) bool { return !byDigest && !source.at.trusted() })
	measureRates(ctx, ref.Repository, checks)
	for i := range checks {
		checks[i].TLS = s.sources[i].tlsState()
	}
	return checks
}

// firstDigest returns the digest of the first source that resolves the tag.
func firstDigest(checks []Check) digest.Digest {
	for _, c := range checks {
		if c.Digest != "" {
			return c.Digest
		}
	}
	return ""
}

// check asks one source for the manifests of an image.
func (s *Set) check(ctx context.Context, source *Source, ref image.Reference, platform image.Platform) Check {
	c := Check{Source: source, Login: "none"}
	var one sync.Mutex
	ctx = WithQuota(ctx, func(q Quota) {
		one.Lock()
		defer one.Unlock()
		c.Quota = &q
	})
	if ref.Digest == "" && !source.at.trusted() { // only whether it answers
		_, err := source.client.Claim(ctx, source.repository(ref.Repository), ref.Tag)
		c.Reachable, c.Login = err == nil || reached(err) && ctx.Err() == nil, source.loginState(err)
		c.Err = cmp.Or(err, errNoDigest)
		return c
	}
	alone := quietSet(s.logins)
	alone.sources = []*Source{source}
	f := &timed{Set: alone}
	img, err := image.Resolve(ctx, f, ref, platform)
	c.Digest, c.Latency, c.image, c.Err = f.first, f.latency, img, err
	if failed, ok := errors.AsType[*FetchError](err); ok {
		c.Err = failed // without what was asked for
	}
	if err != nil && ctx.Err() != nil {
		c.Err = fmt.Errorf("%s: no answer in time", source.Name())
	}
	c.Reachable = f.first != "" || reached(err) && ctx.Err() == nil
	c.Login = source.loginState(err)
	return c
}

// errNoDigest is why a source cannot be used that does not resolve tags, if none other does.
var errNoDigest = errors.New("it resolves no tags, and no other source says which digest the tag has")

// timed is a Fetcher that measures the last answer, when there is a connection, and
// records the first digest.
type timed struct {
	*Set
	first   digest.Digest
	latency time.Duration
}

// Fetch implements image.Fetcher.
func (f *timed) Fetch(ctx context.Context, ref image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	began := time.Now()
	got, body, err := f.Set.Fetch(ctx, ref, want)
	if err == nil {
		f.first, f.latency = cmp.Or(f.first, got.Digest), time.Since(began)
	}
	return got, body, err
}

// reached reports whether an error says that anything answered.
func reached(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range several.Unwrap() {
			if reached(e) {
				return true
			}
		}
		return false
	}
	if e, ok := err.(*registry.Error); ok {
		return !e.Unreachable()
	}
	inner := errors.Unwrap(err)
	return inner != nil && reached(inner)
}

// loginState says whether a source requires a login, after a request that may have failed.
func (s *Source) loginState(err error) string {
	if _, withheld := errors.AsType[*CredentialError](err); withheld {
		return "refused"
	}
	e, _ := errors.AsType[*registry.Error](err)
	switch {
	case e != nil && e.Refused() && e.Login == "" && e.StatusCode == http.StatusUnauthorized:
		return "required"
	case e != nil && e.Refused():
		return "refused"
	case s.loggedIn.Load():
		return "ok"
	}
	return "none"
}

// tlsState says how connections to the source are secured.
func (s *Source) tlsState() string {
	switch {
	case s.client.Plain():
		return "none"
	case s.at.verified():
		return "verified"
	}
	return "unverified"
}

// measureRates fetches some of a layer from each source that has the image, one after the
// other, since they share what the user's link carries.
func measureRates(ctx context.Context, repository string, checks []Check) {
	usable := 0
	for _, c := range checks {
		if c.Err == nil {
			usable++
		}
	}
	for i := range checks {
		if c := &checks[i]; c.Err == nil {
			limited, cancel := context.WithTimeout(ctx, min(mostRateTime, rateTime/time.Duration(usable)))
			c.measure(limited, repository)
			cancel()
		}
	}
}

// measure fetches the second byte of the largest layer and what follows: an answer that
// begins with the first one shows that the source serves no ranges.
func (c *Check) measure(ctx context.Context, repository string) {
	var layer ocispec.Descriptor
	for _, l := range c.image.Layers {
		if l.Size > layer.Size {
			layer = l
		}
	}
	if layer.Size == 0 {
		return
	}
	start := min(1, layer.Size-1)
	body, got, _, err := c.Source.Open(ctx, repository, layer, start, min(layer.Size, start+sampleSize))
	if err != nil {
		if ctx.Err() == nil {
			c.Err = err
		}
		return // a cache may fetch all of the layer first: then the rate is unknown
	}
	defer body.Close()
	if start > 0 {
		ranges := got == start
		c.Ranges = &ranges
	}
	began := time.Now()
	n, err := io.Copy(io.Discard, io.LimitReader(body, sampleSize))
	if n > 0 {
		c.Rate = float64(n) / max(time.Since(began), time.Millisecond).Seconds()
	}
	if err != nil && ctx.Err() == nil {
		c.Err = err
	}
}
