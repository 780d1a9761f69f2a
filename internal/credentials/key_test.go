package credentials

import (
	"slices"
	"strings"
	"testing"
)

func TestKeysThatMatch(t *testing.T) {
	for _, test := range []struct {
		about, keys, host, repository, want string
	}{
		{"the host", "h other", "h", "team/app", "h"},
		{"the longest path", "h h/team h/team/app h/team/app/x", "h", "team/app", "h/team/app h/team h"},
		{"another repository", "h/other h/team/ap h/tea", "h", "team/app", ""},
		{"a repository above", "h/team/app", "h", "team", ""},
		{"another host", "g ah h.example", "h", "team/app", ""},
		{"a scheme and slashes", "https://h// http://h/team/", "h", "team/app", "http://h/team/ https://h//"},
		{"a scheme in capitals", "HTTPS://h", "h", "a", "HTTPS://h"},
		{"another scheme", "ftp://h", "h", "a", ""},
		{"the protocol's root", "https://h/v1/ https://h/v2 h/v2/", "h", "team/app", "h/v2/ https://h/v1/ https://h/v2"},
		{"a repository named v2", "h/team/v2", "h", "team/app", ""},
		{"capitals", "H.Example", "h.example", "a", "H.Example"},
		{"a path in capitals", "h/Team", "h", "team", ""},
		{"the default port in the key", "h:443", "h", "a", "h:443"},
		{"the default port in the request", "h", "h:443", "a", "h"},
		{"another port", "h:5000", "h", "a", ""},
		{"no port", "h", "h:5000", "a", ""},
		{"port 80 without a scheme", "h:80", "h", "a", ""},
		{"port 80 by http", "http://h:80", "h", "a", "http://h:80"},
		{"port 80 by http, asked for", "http://h", "h:80", "a", "http://h"},
		{"port 80 by https", "https://h:80", "h", "a", ""},
		{"IPv6", "[::1]:5000 [::1]", "[::1]:5000", "a", "[::1]:5000"},
		{"IPv6 with the default port", "[::1]", "[::1]:443", "a", "[::1]"},
		{"Docker Hub", "https://index.docker.io/v1/ index.docker.io registry-1.docker.io docker.io/team hub.docker.com", "docker.io", "library/a", "index.docker.io registry-1.docker.io https://index.docker.io/v1/"},
		{"Docker Hub by another name", "docker.io https://index.docker.io/v1/", "registry-1.docker.io", "library/a", "docker.io https://index.docker.io/v1/"},
		{"a repository of Docker Hub", "https://index.docker.io/v1/ docker.io/library", "index.docker.io", "library/a", "docker.io/library https://index.docker.io/v1/"},
		{"spellings, plainest first", "http://h https://h/ https://h H h:443 h", "h", "a", "h H h:443 https://h https://h/ http://h"},
		{"the spelling that was asked for", "h:443 h", "h:443", "a", "h:443 h"},
		{"nonsense", "https:// / //h h//team :443", "h", "team", ""},
	} {
		t.Run(test.about, func(t *testing.T) {
			entries := make(map[string]bool)
			for _, key := range strings.Fields(test.keys) {
				entries[key] = true
			}
			for range 5 { // the order of the map changes
				if got := matching(entries, test.host, test.repository); !slices.Equal(got, strings.Fields(test.want)) {
					t.Fatalf("got %q, want %q", got, test.want)
				}
			}
		})
	}
}

// Anybody may have written the file: whatever it holds, a login for a
// repository comes from a key that is the host or a path above the repository.
func FuzzFile(f *testing.F) {
	f.Add([]byte(auths("h/team", "u", "p")), "h", "team/app")
	f.Add([]byte(`{"auths":{"https://H:443/v1/":{"username":"u"},"h/tea":{"identitytoken":"t"}}}`), "h:443", "team/app")
	f.Add([]byte(`{"auths":{"h":null,"h/":{},"h//":{"auth":"*"},"http://h:80":{"registrytoken":"t"}}}`), "h", "a")
	f.Add([]byte(auths("https://index.docker.io/v1/", "u", "p\x00")), "docker.io", "library/a")
	f.Add([]byte("\xef\xbb\xbf{\"auths\":[]}"), "[::1]:5000", "a")
	f.Add([]byte(`{"auths":{"`+"\xff"+`":{}}`), "\xff", "")
	f.Fuzz(func(t *testing.T, text []byte, host, repository string) {
		c, err := parse(text)
		if err != nil {
			return
		}
		for _, written := range matching(c.Auths, host, repository) {
			if !isAbove(strings.ToLower(written), strings.ToLower(host), strings.ToLower(repository)) {
				t.Errorf("the key %q matches %q of %q", written, repository, host)
			}
		}
		s := &Store{warned: make(map[string]bool)}
		login := s.lookUp("file", c, host, repository)
		if again := s.lookUp("file", c, host, repository); login != again {
			t.Errorf("first %v, then %v", login, again)
		}
	})
}

// isAbove says the same as covers in another way: it compares a key's elements
// with those of the host and the repository.
func isAbove(written, host, repository string) bool {
	for _, scheme := range []string{"http://", "https://"} {
		if rest, found := strings.CutPrefix(written, scheme); found {
			written = rest
			break
		}
	}
	written = strings.TrimRight(written, "/")
	have, want := strings.Split(written, "/"), append([]string{host}, strings.Split(repository, "/")...)
	if withoutPort(have[0]) != withoutPort(host) {
		return false
	}
	if len(have) == 2 && (have[1] == "v1" || have[1] == "v2") {
		return true
	}
	return len(have) <= len(want) && slices.Equal(have[1:], want[1:len(have)])
}

// withoutPort removes the ports that may be the default one, and makes the
// names of Docker Hub one.
func withoutPort(host string) string {
	for _, port := range []string{":80", ":443", ":80"} {
		host = strings.TrimSuffix(host, port)
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}
