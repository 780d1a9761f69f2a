package servetest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

func TestManifests(t *testing.T) {
	t.Parallel()
	one, two := pulltest.ImageOf(1, 100*kib), registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64", Docker: true})
	index := registrytest.NewIndex(one, two)
	f := start(t, 1, index, nil)
	f.Servers[0].Misbehave(registrytest.ManifestType("text/html"))
	for _, test := range []struct {
		about, reference string
		want             registrytest.Blob
	}{
		{"by tag", "1", index.Manifest},
		{"by tag, from the cache", "1", index.Manifest},
		{"by digest", index.Manifest.Digest.String(), index.Manifest},
		{"one image", one.Manifest.Digest.String(), one.Manifest},
		{"one of Docker", two.Manifest.Digest.String(), two.Manifest},
	} {
		for _, method := range []string{"HEAD", "GET"} {
			a := f.do(t, method, path+"/manifests/"+test.reference+ns, "Range", "bytes=0-")
			h := a.header
			if a.status != 200 || h.Get("Content-Type") != test.want.MediaType || h.Get("Docker-Content-Digest") != test.want.Digest.String() || h.Get("Content-Length") != fmt.Sprint(test.want.Size) {
				t.Errorf("%s %s: %d, %v", method, test.about, a.status, h)
			}
			if method == "GET" && !bytes.Equal(a.body, test.want.Bytes()) {
				t.Errorf("%s: %d bytes", test.about, len(a.body))
			}
		}
	}
	if n := f.Servers[0].Stats().Requests[registrytest.KindManifest]; n != 3 {
		t.Errorf("the mirror was asked %d times", n)
	}
}

// A tag is asked for again when its time is over, by HEAD where that is enough.
func TestTagsExpire(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 100*kib), func(o *segpull.ServerOptions) { o.TagTTL = -1 })
	other := pulltest.ImageOf(2, 100*kib)
	requests := func() (get, head int) {
		r := f.Servers[0].Stats().Requests
		return r[registrytest.KindManifest], r[registrytest.KindHead]
	}
	for range 3 {
		f.learn(t)
	}
	if get, head := requests(); get != 1 || head != 2 {
		t.Errorf("%d GET and %d HEAD", get, head)
	}
	f.Servers[0].Misbehave(registrytest.Status(http.StatusMethodNotAllowed).On(registrytest.KindHead))
	f.Servers[0].Push(pulltest.Repo, "1", other)
	if a := f.get(t, path+"/manifests/1"+ns); a.header.Get("Docker-Content-Digest") != other.Manifest.Digest.String() {
		t.Errorf("%v", a.header)
	}
}

// Nobody answers: cached images are served, the first within 10 s and the next at once;
// all else is 404.
func TestOffline(t *testing.T) {
	t.Parallel()
	edit := func(o *segpull.ServerOptions) { o.TagTTL = -1 }
	for about, offline := range map[string]func(t *testing.T, f *fixture){
		"the mirrors are gone": func(t *testing.T, f *fixture) { f.die(); f.restart(t, edit) },
		"the mirrors are silent": func(t *testing.T, f *fixture) {
			for _, s := range f.Servers {
				s.Misbehave(registrytest.Hang().On())
			}
			f.restart(t, edit)
		},
		"--offline": func(t *testing.T, f *fixture) {
			f.die()
			f.restart(t, func(o *segpull.ServerOptions) { edit(o); o.Offline = true })
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			one, two := pulltest.ImageOf(1, 300*kib), pulltest.ImageOf(2, 300*kib)
			f := start(t, 2, registrytest.NewIndex(one, two), edit)
			f.learn(t)
			f.get(t, path+"/manifests/"+one.Manifest.Digest.String()+ns)
			for _, b := range append(one.Layers, one.Config) {
				f.get(t, blobPath(b))
			}
			f.Servers[0].Push(pulltest.Repo, "2", two)
			f.get(t, path+"/manifests/2"+ns)
			f.untilKept(t)

			offline(t, f)
			f.mustServeAlone(t, one, about == "--offline")
		})
	}
}

// mustServeAlone shows that a server serves an image that it has, and nothing else, while
// no mirror answers it, or may be asked.
func (f *fixture) mustServeAlone(t *testing.T, img registrytest.Image, offline bool) {
	var unknown sync.WaitGroup
	for _, path := range []string{path + "/manifests/2" + ns, path + "/manifests/none" + ns, "/v2/library/none/manifests/1"} {
		unknown.Go(func() {
			a := f.do(t, "GET", path)
			a.wantError(t, path, 404, "MANIFEST_UNKNOWN") // 2 lacks its layers
			if a.headers > soonEnough || offline && a.headers > atOnce {
				t.Errorf("%s after %v", path, a.headers)
			}
		})
	}
	defer unknown.Wait()
	for i := range 2 {
		a := f.get(t, path+"/manifests/1"+ns)
		limit := soonEnough
		if i > 0 || offline {
			limit = atOnce
		}
		warning := a.header.Get("Warning")
		if a.headers > limit || offline && warning != "" || !offline && !strings.HasPrefix(warning, "110 ") {
			t.Errorf("after %v, Warning: %q", a.headers, warning)
		}
	}
	if !offline && !strings.Contains(f.log.String(), "no source answers") {
		t.Errorf("the log says\n%s", f.log)
	}
	f.get(t, path+"/manifests/"+img.Manifest.Digest.String()+ns)
	for _, b := range append(img.Layers, img.Config) {
		if a := f.get(t, blobPath(b)); !bytes.Equal(a.body, b.Bytes()) {
			t.Errorf("%d bytes", len(a.body))
		}
	}
}

func TestErrorsOfManifests(t *testing.T) {
	t.Parallel()
	f := start(t, 2, pulltest.ImageOf(1, 100*kib), func(o *segpull.ServerOptions) { o.TagTTL = -1 })
	f.learn(t)
	for _, test := range []struct {
		about string
		fault registrytest.Fault
		code  int
		error string
	}{
		{"withdrawn", registrytest.Status(404), 404, "MANIFEST_UNKNOWN"},
		{"refused", registrytest.Basic("user", "password"), 404, "MANIFEST_UNKNOWN"},
	} {
		for _, s := range f.Servers {
			s.Misbehave(test.fault.On())
		}
		a := f.do(t, "GET", path+"/manifests/1"+ns)
		a.wantError(t, test.about, test.code, test.error)
	}
	for _, s := range f.Servers {
		s.Misbehave(registrytest.RetryAfter(429, "60").On())
	}
	a := f.do(t, "GET", path+"/manifests/other"+ns)
	a.wantError(t, "all are busy", 429, "TOOMANYREQUESTS")
	if a.header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
	f.Servers[0].Misbehave(registrytest.TagAnswers(`{"errors":[]}`, "application/json").On(registrytest.KindManifest))
	f.Servers[1].Misbehave()
	if a := f.get(t, path+"/manifests/1"+ns); a.header.Get("Docker-Content-Digest") != f.img.Manifest.Digest.String() {
		t.Errorf("an answer that is no manifest: %v", a.header)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 100*kib), nil)
	f.Servers[0].Push("library/app", "1", f.img)
	other := registrytest.New()
	url := other.Start(t)
	host := strings.TrimPrefix(url, "http://")
	for path, want := range map[string]int{
		"/v2/app/manifests/1":                                   200,
		"/v2/library/app/manifests/1":                           200,
		"/v2/app/manifests/1?ns=docker.io":                      200,
		"/v2/library/app/manifests/1?ns=registry-1.docker.io":   200,
		"/v2/library/app/manifests/1?ns=registry.example":       200,
		"/v2/registry.example/team/app/manifests/1":             200,
		"/v2/localhost/team/app/manifests/1":                    200,
		"/v2/" + host + "/team/app/manifests/1":                 200, // by the mirror
		"/v2/team/app/manifests/1?ns=" + host:                   200,
		"/v2/app/manifests/1?ns=registry.example":               404,
		"/v2/docker.io/manifests/1":                             404,
		"/v2/team/app/manifests/1?ns=a/b":                       404,
		"/v2/team/app/manifests/1?ns=nodot":                     404,
		"/v2/team/app/manifests/1?ns=http://" + host:            404,
		"/v2/TEAM/app/manifests/1":                              404,
		"/v2/team/app/manifests/..%2f..%2f1":                    404,
		"/v2/team/../../app/manifests/1":                        404,
		"/v2/team/app/blobs/sha256:abc":                         404,
		"/v2/team/app/blobs/sha512:" + strings.Repeat("0", 128): 404,
		"/v2/team/app/manifests/":                               404,
		"/v2/team/app/tags/list":                                404,
		"/v2/_catalog":                                          404,
		"/":                                                     404,
		"/v2/":                                                  200,
		"/v2":                                                   200,
		"/livez":                                                200,
		"/readyz":                                               200,
	} {
		a := f.do(t, "GET", path)
		if a.status != want {
			t.Errorf("%s: %d %.200q, want %d", path, a.status, a.body, want)
		}
		if a.header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: a challenge", path)
		}
	}
	if n := len(other.Stats().Log); n > 0 {
		t.Errorf("a host that only clients named was asked %d times", n)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		f.do(t, method, "/v2/app/blobs/uploads/").wantError(t, method, http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
	f.restart(t, func(o *segpull.ServerOptions) {
		o.Mirrors = nil
		o.Config = sources.Config{Mirror: map[string]sources.Mirror{
			"m": {URL: f.URLs[0], Registries: []string{"registry.example"}},
		}}
	})
	f.get(t, path+"/manifests/1"+ns)
	f.do(t, "GET", path+"/manifests/1?ns=other.example").wantError(t, "a registry that is not configured", 404, "NAME_UNKNOWN")
}

// A page of another site cannot read images by a name that leads here.
func TestTheHostIsChecked(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 100*kib), func(o *segpull.ServerOptions) { o.Hosts = []string{"cache.lan"} })
	port := f.url[strings.LastIndex(f.url, ":"):]
	for host, want := range map[string]int{
		"127.0.0.1" + port: 200, "localhost" + port: 200, "localhost": 200, "CACHE.lan": 200, "cache.lan:5050": 200,
		"evil.example": 421, "evil.example" + port: 421, "127.0.0.2" + port: 421, "[::1]" + port: 421, "169.254.1.1": 421,
	} {
		if a := f.do(t, "GET", path+"/manifests/1"+ns, "Host", host); a.status != want || want != 200 && bytes.Contains(a.body, []byte("layers")) {
			t.Errorf("Host %s: %d", host, a.status)
		}
	}
}

// No login of this user goes to a mirror, unless that is private.
func TestPrivateMirrors(t *testing.T) {
	t.Parallel()
	f := start(t, 1, pulltest.ImageOf(1, 100*kib), nil)
	f.Servers[0].Misbehave(registrytest.Basic("user", "password").On())
	authfile := filepath.Join(t.TempDir(), "auth.json")
	pulltest.Must(t, os.WriteFile(authfile, []byte(`{"auths":{"`+f.Name(0)+`":{"auth":"dXNlcjpwYXNzd29yZA=="}}}`), 0o600))
	for private, want := range map[bool]int{false: 404, true: 200} {
		f.restart(t, func(o *segpull.ServerOptions) {
			o.CacheDir, o.Authfile, o.Mirrors = t.TempDir(), authfile, []string{"m"}
			o.Config = sources.Config{Mirror: map[string]sources.Mirror{"m": {URL: f.URLs[0], Private: private}}}
		})
		if a := f.do(t, "GET", path+"/manifests/1"+ns); a.status != want {
			t.Errorf("private = %t: %d %.300q", private, a.status, a.body)
		}
	}
}
