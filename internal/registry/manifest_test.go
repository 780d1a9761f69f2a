package registry

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestManifest(t *testing.T) {
	body := []byte(`{"schemaVersion":2}`)
	server, rec := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8")
		w.Header().Set("Docker-Content-Digest", "sha256:lie")
		_, _ = w.Write(body)
	})
	c := client(t, server.URL)
	for _, reference := range []string{"22.04", digest.FromBytes(body).String()} {
		d, got, err := c.Manifest(t.Context(), "library/ubuntu", reference)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, body) || d.Digest != digest.FromBytes(body) || d.Size != int64(len(body)) {
			t.Errorf("got %v, %s", d, got)
		}
		if d.MediaType != "application/vnd.oci.image.manifest.v1+json" {
			t.Errorf("media type %q", d.MediaType)
		}
	}
	req := rec.requests()[0]
	if got := req.Header.Values("Accept"); len(got) != 1 || strings.Count(got[0], ", ") != 3 {
		t.Errorf("Accept: %q", got)
	}
	if req.URL.Path != "/v2/library/ubuntu/manifests/22.04" {
		t.Errorf("path %s", req.URL.Path)
	}
}

func TestManifestRefused(t *testing.T) {
	other := digest.FromString("other").String()
	for name, test := range map[string]struct {
		reference string
		answer    http.HandlerFunc
		want      string
		mismatch  bool
	}{
		"other bytes":  {other, text("", "{}"), "its digest is sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", true},
		"too large":    {"1", text("", strings.Repeat(" ", maxManifestBytes+1)), "larger than 4 MiB", false},
		"web page":     {other, text("text/html", "<html>log in"), `not a manifest: "log in"`, false},
		"a part of it": {"1", status(206), "a part of it", true},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, false, test.answer)
			_, _, err := client(t, server.URL).Manifest(t.Context(), "a", test.reference)
			e := asError(t, err)
			if !strings.Contains(e.Error(), test.want) || e.Mismatch() != test.mismatch {
				t.Errorf("got %v, mismatch %v", e, e.Mismatch())
			}
		})
	}
}

func TestManifestCutOffIsAskedForAgain(t *testing.T) {
	var asked atomic.Int32
	server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		if asked.Add(1) < 3 {
			_, _ = w.Write([]byte("{"))
			return
		}
		_, _ = w.Write([]byte("{  }"))
	})
	if _, body, err := client(t, server.URL).Manifest(t.Context(), "a", "1"); err != nil || string(body) != "{  }" {
		t.Errorf("got %s, %v", body, err)
	}
}

// text answers 200 with a body.
func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = w.Write([]byte(body))
	}
}
