package credentials

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a run of a helper outlives its callers.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a home directory with everything in it that a Store looks at, and
// what the Store warned of.
type site struct {
	home string

	mu       sync.Mutex
	warnings []string
}

// newSite hides the files of the user from the tests.
func newSite(t *testing.T) *site {
	home := t.TempDir()
	old := runRoot
	t.Cleanup(func() { runRoot = old })
	runRoot = filepath.Join(home, "run-root")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"} {
		t.Setenv(name, "")
	}
	return &site{home: home}
}

// store returns a Store whose warnings the site keeps.
func (s *site) store(authfile string) *Store {
	store := New(authfile)
	store.Warn = func(message string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.warnings = append(s.warnings, message)
	}
	return store
}

// write writes a file of the site, and returns its path.
func (s *site) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// docker writes ~/.docker/config.json, and returns its path.
func (s *site) docker(t *testing.T, text string) string {
	t.Helper()
	return s.write(t, ".docker/config.json", text)
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// auths is a file with one entry.
func auths(key, user, password string) string {
	return `{"auths":{"` + key + `":{"auth":"` + encoded(user+":"+password) + `"}}}`
}

// find is Find for tests in which ctx does not end.
func find(t *testing.T, s *Store, host, repository string) Login {
	t.Helper()
	login, err := s.Find(t.Context(), host, repository)
	if err != nil {
		t.Fatal(err)
	}
	return login
}
