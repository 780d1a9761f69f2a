package serve

import (
	"net/url"
	"strings"
	"testing"

	"github.com/segpull/segpull/segment"
)

func TestParseRange(t *testing.T) {
	const size = 1000
	whole := segment.Range{End: size}
	for header, want := range map[string]struct {
		r         segment.Range
		asked, ok bool
	}{
		"":                           {whole, false, true},
		"bytes=0-":                   {whole, true, true},
		"bytes=0-0":                  {segment.Range{End: 1}, true, true},
		"Bytes=10-19":                {segment.Range{Start: 10, End: 20}, true, true},
		"bytes=990-5000":             {segment.Range{Start: 990, End: size}, true, true},
		"bytes=-10":                  {segment.Range{Start: 990, End: size}, true, true},
		"bytes=-5000":                {whole, true, true},
		"bytes=-0":                   {segment.Range{Start: size, End: size}, true, false},
		"bytes=1000-":                {segment.Range{Start: size, End: size}, true, false},
		"bytes=1000-1001":            {segment.Range{Start: size, End: size}, true, false},
		"bytes=5-4":                  {whole, false, true},
		"bytes=0-1,5-6":              {whole, false, true},
		"bytes=-":                    {whole, false, true},
		"bytes=+1-2":                 {whole, false, true},
		"bytes=9999999999999999999-": {whole, false, true},
		"items=0-1":                  {whole, false, true},
	} {
		if r, asked, ok := parseRange(header, size); ok != want.ok || asked != want.asked || ok && r != want.r {
			t.Errorf("%q: %v, %t, %t", header, r, asked, ok)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=-5", "bytes=1-2", "bytes=4611686018427387903-4611686018427387903"} {
		f.Add(s, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 1 {
			return
		}
		r, asked, ok := parseRange(header, size)
		if ok && (r.Start < 0 || r.End > size || r.Empty()) || !asked && r != (segment.Range{End: size}) {
			t.Errorf("%q of %d bytes: %v, %t, %t", header, size, r, asked, ok)
		}
	})
}

// Whatever a URL says, the reference is of a registry that is served, and valid.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{
		"/v2/library/ubuntu/manifests/22.04", "/v2/a/manifests/manifests/1?ns=GHCR.io", "/v2/ghcr.io/a/b/blobs/sha256:" + strings.Repeat("0", 64),
		"/v2/evil.example:80/a/manifests/1", "/v2/a/manifests/1?ns=evil.example", "/v2/../a/manifests/1", "/v2/a/manifests/1@sha256:x?ns=docker.io/b",
	} {
		f.Add(s)
	}
	served := func(registry string) bool {
		return registry == "docker.io" || registry == "ghcr.io" || registry == "localhost"
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		target, err := parseURL(u)
		if err != nil || target.kind == kindPing {
			return
		}
		ref, err := target.resolve(served)
		if err != nil {
			return
		}
		if !served(ref.Registry) || ref.Repository == "" || (ref.Tag == "") == (ref.Digest == "") && target.kind == kindBlob || strings.Contains(ref.Repository, "..") {
			t.Errorf("%q is %+v", s, ref)
		}
		if ref.Digest != "" && ref.Digest.Validate() != nil {
			t.Errorf("%q has the digest %s", s, ref.Digest)
		}
	})
}
