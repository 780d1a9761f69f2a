package segpull

import (
	"context"
	"fmt"
	"strings"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/upstream"
	"github.com/segpull/segpull/sources"
)

// MirrorsOptions says which sources Mirrors and TestMirrors look at. Mirrors, Config,
// Authfile and Observer are as in Options; Platform is used by TestMirrors alone.
type MirrorsOptions struct {
	Mirrors  []string
	Config   sources.Config
	Authfile string
	Platform string
	Observer Observer
}

// MirrorInfo is a source that a pull would use.
type MirrorInfo struct {
	Name string `json:"name"` // as messages call it
	URL  string `json:"url"`
	// From is where it is configured: "flag", "config", "containerd", "docker",
	// "containers", or "registry" for the images' registry itself.
	From string `json:"from"`
	File string `json:"file"` // "" if it is not from a file
	Line int    `json:"line"` // in File; 0: unknown
	Key  string `json:"key"`  // that names it in File, if Line does not
	Tags bool   `json:"tags"` // whether it resolves tags
	NS   bool   `json:"ns"`   // whether requests have ?ns= with the registry
}

// MirrorCheck is what TestMirrors found about a source.
type MirrorCheck struct {
	MirrorInfo
	Reachable bool           `json:"reachable"`       // something answers there
	Usable    bool           `json:"usable"`          // a pull of the image can use it
	Error     string         `json:"error"`           // why it is not usable
	Digest    string         `json:"digest"`          // of the tag; "" if unknown
	Agrees    bool           `json:"agrees"`          // the digest is that of the first source that resolves tags
	Ranges    *bool          `json:"ranges"`          // whether it serves ranges; nil: unknown
	Latency   *float64       `json:"latency_seconds"` // of a small request; nil: unknown
	Rate      *float64       `json:"rate"`            // bytes a second; nil: unknown
	Auth      string         `json:"auth"`            // "none", "required", "ok" or "refused"
	TLS       string         `json:"tls"`             // "verified", "unverified" or "none"
	Limits    *RequestLimits `json:"limits"`          // what the source says of its budget of requests; nil: nothing
	err       error
}

// RequestLimits are how many requests a source answers, by the fields RateLimit and
// RateLimit-Remaining of its answers.
type RequestLimits struct {
	Limit     int     `json:"limit"`          // requests in a period
	Remaining int     `json:"remaining"`      // requests that are left
	Period    float64 `json:"period_seconds"` // 0: unknown
	Reset     float64 `json:"reset_seconds"`  // until there are more; 0: unknown
}

// Mirrors returns the sources that a pull of an image would use, in this order, without a
// request to any of them. name is an image, or a registry such as docker.io.
func Mirrors(opts MirrorsOptions, name string) ([]MirrorInfo, error) {
	set, _, err := opts.set(name)
	if err != nil {
		return nil, class.MarkKnown(err)
	}
	defer set.Close()
	var all []MirrorInfo
	for _, s := range set.Sources() {
		all = append(all, infoOf(s))
	}
	return all, nil
}

// TestMirrors asks each source for an image, and for some of its largest layer, and returns
// what it found in the order in which a pull uses them. It takes at most 17 s. If no source
// is usable, the error says why, with the class that a pull's error would have, and the
// results are returned as well.
func TestMirrors(ctx context.Context, opts MirrorsOptions, name string) ([]MirrorCheck, error) {
	platform := image.DefaultPlatform()
	var err error
	if opts.Platform != "" {
		if platform, err = image.ParsePlatform(opts.Platform); err != nil {
			return nil, usage(err)
		}
	}
	set, ref, err := opts.set(name)
	if err != nil {
		return nil, class.MarkKnown(err)
	}
	defer set.Close()
	var all []MirrorCheck
	first := ""
	for _, c := range set.Check(ctx, ref, platform) {
		if first == "" && c.Source.ResolvesTags() {
			first = string(c.Digest)
		}
		all = append(all, checkOf(c))
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var reasons []error
	usable := false
	for i := range all {
		c := &all[i]
		c.Agrees = c.Digest != "" && (c.Digest == first || first == "")
		usable = usable || c.Usable
		reasons = append(reasons, c.err)
	}
	if usable {
		return all, nil
	}
	return all, class.Mark(fmt.Errorf("no source has %s for %s that a pull could use; name an image that they have, or give other mirrors with --mirror", ref.Display(), platform), class.OfReasons(reasons))
}

// set returns the sources for an image or a registry.
func (o MirrorsOptions) set(name string) (*sources.Set, image.Reference, error) {
	ref, err := parseImageOrRegistry(name)
	if err != nil {
		return nil, ref, usage(err)
	}
	report := &reporter{observer: o.Observer}
	report.warnOfAliases(o.Config, []string{name})
	set, problems, err := sources.New(o.Config, sources.NewLogins(o.Authfile, report.warn), o.Mirrors, upstream.Images(ref))
	if err != nil {
		return nil, ref, err
	}
	for _, problem := range problems {
		report.warn(problem.Error())
	}
	set.Warn = report.warn
	return set, ref, nil
}

// parseImageOrRegistry reads a reference, or a registry: a host with a dot, or localhost,
// and nothing behind its port.
func parseImageOrRegistry(name string) (image.Reference, error) {
	host, _, _ := strings.Cut(name, ":")
	if !strings.Contains(name, "/") && (strings.Contains(host, ".") || host == "localhost" || strings.HasPrefix(name, "[")) {
		ref, err := image.ParseReference(name + "/any")
		return image.Reference{Registry: ref.Registry}, err
	}
	return image.ParseReference(name)
}

func infoOf(s *sources.Source) MirrorInfo {
	at := s.Place()
	return MirrorInfo{
		Name: s.Name(), URL: s.URL(), From: at.From, File: at.File, Line: at.Line, Key: at.Key,
		Tags: s.ResolvesTags(), NS: s.SendsNamespace(),
	}
}

func checkOf(c sources.Check) MirrorCheck {
	m := MirrorCheck{
		MirrorInfo: infoOf(c.Source), Reachable: c.Reachable, Usable: c.Err == nil,
		Digest: string(c.Digest), Ranges: c.Ranges, Auth: c.Login, TLS: c.TLS, err: c.Err,
	}
	if c.Err != nil {
		m.Error = strings.TrimPrefix(c.Err.Error(), m.Name+": ")
	}
	if c.Latency > 0 {
		seconds := c.Latency.Seconds()
		m.Latency = &seconds
	}
	if c.Rate > 0 {
		m.Rate = &c.Rate
	}
	if q := c.Quota; q != nil {
		m.Limits = &RequestLimits{q.Most, q.Left, q.Every.Seconds() * float64(q.Most), q.Reset.Seconds()}
	}
	return m
}
