package registrytest

import (
	"strings"
	"testing"
)

func TestLinksOnTheRegistrysHost(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	base, _, _ := strings.Cut(address, "/v2/")
	for name, tt := range map[string]struct {
		fault  Fault
		signed bool
	}{"signed": {SignedLinkOnHost(), true}, "unsigned": {UnsignedLinkOnHost(), false}} {
		reg.Misbehave(tt.fault, Basic("ann", "secret"))
		link := base + get(t, address, basic("ann", "secret")).Header.Get("Location")
		if strings.Contains(link, "&X-Amz-Signature=") != tt.signed {
			t.Errorf("%s: the link is %s", name, link)
		}
		if a := get(t, link, basic("ann", "secret")); a.Status != 400 {
			t.Errorf("%s: status %d with Authorization, want 400", name, a.Status)
		}
		wantBody(t, get(t, link, "Range: bytes=5-9"), 206, b.Bytes()[5:10])
	}
}

func TestPathPrefixHidesTheRest(t *testing.T) {
	b := RandomBlob(1, 10_000)
	reg, address := serveBlob(t, b)
	reg.Misbehave(PathPrefix("/repository/hub"), Truncate(100))
	if a := get(t, address); a.Status != 404 {
		t.Errorf("without the prefix the status is %d, want 404", a.Status)
	}
	a := get(t, strings.Replace(address, "/v2/", "/repository/hub/v2/", 1))
	if a.Status != 200 || len(a.Body) != 100 {
		t.Errorf("got %d, %d bytes; want 200 and the fault behind", a.Status, len(a.Body))
	}
	if stats := reg.Stats(); stats.Blobs[b.Digest] != 100 || stats.Concurrent != 1 {
		t.Errorf("counted %d bytes, %d at once", stats.Blobs[b.Digest], stats.Concurrent)
	}
}

func TestRedirectAllKeepsThePath(t *testing.T) {
	b := RandomBlob(1, 10)
	reg, address := serveBlob(t, b)
	base, _, _ := strings.Cut(address, "/v2/")
	reg.Misbehave(RedirectAll("https://registry.test:8443/", 308))
	for _, path := range []string{"/v2/", blobPath(b) + "?ns=docker.io"} {
		if a := get(t, base+path); a.Status != 308 || a.Header.Get("Location") != "https://registry.test:8443"+path {
			t.Errorf("got %d, %v", a.Status, a.Header)
		}
	}
}
