package lab

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecure fetches a manifest as clients do: challenge, token, manifest.
func TestSecure(t *testing.T) {
	c := Case{Name: "secure", Layers: quick.Layers, Secure: true, Mirrors: []Mirror{{Name: "tls"}}}
	s, i := setUpCase(t, c)
	client := clientOf(t, i.authority)
	defer client.CloseIdleConnections()
	manifest := s.mirrors[0].url + "/v2/" + repository + "/manifests/" + tag

	challenged := get(t, client, manifest, "")
	if challenged.StatusCode != http.StatusUnauthorized || challenged.TLS.Version != tls.VersionTLS13 {
		t.Fatalf("the first answer is %s over TLS %x, want a challenge over TLS 1.3", challenged.Status, challenged.TLS.Version)
	}
	realm := regexp.MustCompile(`realm="([^"]*)"`).FindStringSubmatch(challenged.Header.Get("WWW-Authenticate"))
	if realm == nil || strings.HasPrefix(realm[1], s.mirrors[0].url+"/") {
		t.Fatalf("the realm is %q, want another address than %s", realm, s.mirrors[0].url)
	}
	var answer struct{ Token string }
	if err := json.NewDecoder(get(t, client, realm[1]+"?scope=repository:"+repository+":pull", "").Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, manifest, answer.Token); got.StatusCode != http.StatusOK {
		t.Errorf("with a token, the answer is %s", got.Status)
	}
}

// clientOf trusts the authority alone.
func clientOf(t *testing.T, a authority) *http.Client {
	t.Helper()
	content, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(content)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func get(t *testing.T, client *http.Client, url, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestToolsOnSecureMirrors checks which tools can take part.
func TestToolsOnSecureMirrors(t *testing.T) {
	for scheme, flags := range map[string]map[string]string{
		"http":  {"crane": "--insecure", "regctl": "tls=disabled", "skopeo": "--src-tls-verify=false"},
		"https": {"crane": "--format=oci registry:1/", "regctl": "tls=enabled", "skopeo": "--src-tls-verify=true"},
	} {
		j := job{program: "program", image: newImage(quick), mirrors: []server{{url: scheme + "://registry:1"}}, dir: "dir"}
		for name, want := range flags {
			cmd, err := tool(t, name).command(j)
			if err != nil || !strings.Contains(cmd.String(), want) {
				t.Errorf("%s runs %s, %v; want %q", name, cmd, err, want)
			}
		}
		for _, name := range []string{"aria2c", "curl"} {
			if _, err := tool(t, name).command(j); (err != nil) != (scheme == "https") {
				t.Errorf("%s from %s: %v", name, scheme, err)
			}
		}
	}
}

func TestSyncAll(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if took, err := syncAll(dir); err != nil || took <= 0 {
		t.Errorf("syncAll took %v, %v", took, err)
	}
	if _, err := syncAll(dir + "/nothing"); err == nil {
		t.Error("a directory that does not exist was synced")
	}
}
