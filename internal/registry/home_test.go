package registry

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// The path of a host stays as it is where it has a part v2, or where the root of the API
// is known.
func TestPathOfAHost(t *testing.T) {
	for _, test := range []struct{ address, api, at, root, name string }{
		{"https://a.test", "", "/v2/x/y/manifests/1", "/v2/", "x/y"},
		{"https://a.test/hub", "", "/v2/hub/x/y/manifests/1", "/v2/", "hub/x/y"},
		{"https://a.test/us/v2", "", "/us/v2/x/y/manifests/1", "/us/v2/", "x/y"},
		{"https://a.test/v2/b/v2", "/v2/b/v2", "/v2/b/v2/x/y/manifests/1", "/v2/b/v2/", "x/y"},
		{"https://a.test/v2/v2/b", "/v2", "/v2/v2/b/x/y/manifests/1", "/v2/", "v2/b/x/y"},
		{"https://a.test/api", "/api", "/api/x/y/manifests/1", "/api/", "x/y"},
		{"https://a.test/", "/", "/x/y/manifests/1", "/", "x/y"},
	} {
		c := client(t, test.address, func(cfg *Config) { cfg.API = test.api })
		at := c.endpoint("x/y", "manifests", "1")
		if at.url.Path != test.at || at.repository != test.name || c.home.root() != "https://a.test"+test.root {
			t.Errorf("%s, API %q: %s of %s, root %s", test.address, test.api, at.url.Path, at.repository, c.home.root())
		}
	}
}

func TestViaIsForTheOwnHost(t *testing.T) {
	store, elsewhere := serve(t, false, blobServer)
	host, own := serve(t, false, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, store.URL, http.StatusTemporaryRedirect)
	})
	c := client(t, host.URL)
	b := contentDescriptor()
	s, err := c.Blob(WithVia(t.Context(), "1.1 me"), "a/b", b, 0, b.Size)
	if err != nil {
		t.Fatal(err)
	}
	s.Body.Close()
	if got := own.requests()[0].Header.Get("Via"); got != "1.1 me" {
		t.Errorf("the host got Via %q", got)
	}
	if got := elsewhere.requests()[0].Header.Get("Via"); got != "" {
		t.Errorf("the host that it redirects to got Via %q", got)
	}
}

func TestDialTimeout(t *testing.T) {
	host, _ := serve(t, false, blobServer)
	c := client(t, host.URL, func(cfg *Config) { cfg.DialTimeout = time.Nanosecond })
	_, _, err := c.Manifest(t.Context(), "a/b", "1")
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("connecting within a nanosecond: %v", err)
	}
}
