package credentials

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesAreAskedInOrder(t *testing.T) {
	s := newSite(t)
	for i, test := range []struct{ variable, value, file string }{
		// each is asked before those above it
		{"", "", ".config/containers/auth.json"},
		{"XDG_CONFIG_HOME", "config", "config/containers/auth.json"},
		{"XDG_RUNTIME_DIR", "run", "run/containers/auth.json"},
		{"", "", ".docker/config.json"},
		{"DOCKER_CONFIG", "docker", "docker/config.json"},
		{"REGISTRY_AUTH_FILE", "auth.json", "auth.json"},
	} {
		if test.variable != "" {
			t.Setenv(test.variable, filepath.Join(s.home, test.value))
		}
		user := string(rune('a' + i))
		path := s.write(t, test.file, auths("h", user, "p"))
		if got := find(t, s.store(""), "h", "app"); got != (Login{Username: user, Password: "p", From: path}) {
			t.Errorf("%s: got %v", test.file, got)
		}
	}
	path := s.write(t, "named.json", auths("other", "u", "p"))
	if got := find(t, s.store(path), "h", "app"); !got.Empty() {
		t.Errorf("another file than the named one was asked: %v", got)
	}
	if len(s.warnings) > 0 {
		t.Errorf("warned %q", s.warnings)
	}
}

func TestALaterFileIsAskedWhereTheFirstHasNothing(t *testing.T) {
	s := newSite(t)
	s.docker(t, `{"auths":{"h":{},"other":{"auth":"*"}}}`)
	path := s.write(t, ".config/containers/auth.json", auths("h", "u", "p"))
	if got := find(t, s.store(""), "h", "app"); got.From != path || len(s.warnings) > 0 {
		t.Errorf("got %v, warned %q", got, s.warnings)
	}
}

func TestAFileIsReadOnceAndWhenNeeded(t *testing.T) {
	s := newSite(t)
	store := s.store("")
	path := s.docker(t, auths("h", "u", "p"))
	first := find(t, store, "h", "app")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if second := find(t, store, "h", "app"); first.Empty() || second != first {
		t.Errorf("first %v, then %v", first, second)
	}
}

func TestEntries(t *testing.T) {
	for _, test := range []struct {
		about, entry string
		want         Login
		warning      string
	}{
		{"auth", `{"auth":"` + encoded("u:hunter2") + `"}`, Login{Username: "u", Password: "hunter2"}, ""},
		{"colons", `{"auth":"` + encoded("u:a:b:") + `"}`, Login{Username: "u", Password: "a:b:"}, ""},
		{"an empty password", `{"auth":"` + encoded("u:") + `"}`, Login{Username: "u"}, ""},
		{"NUL bytes of Windows", `{"auth":"` + encoded("u:hunter2\x00\x00") + `"}`, Login{Username: "u", Password: "hunter2"}, ""},
		{"user name and password", `{"username":"u","password":"hunter2"}`, Login{Username: "u", Password: "hunter2"}, ""},
		{"auth and a user name", `{"auth":"` + encoded("u:hunter2") + `","username":"v","password":"w"}`, Login{Username: "u", Password: "hunter2"}, ""},
		{"an identity token", `{"auth":"` + encoded("u:") + `","identitytoken":"hunter2"}`, Login{Username: "u", IdentityToken: "hunter2"}, ""},
		{"a registry token", `{"registrytoken":"hunter2"}`, Login{RegistryToken: "hunter2"}, ""},
		{"empty", `{}`, Login{}, ""},
		{"null", `null`, Login{}, ""},
		{"more than we know", `{"email":7,"registrytoken":"hunter2"}`, Login{RegistryToken: "hunter2"}, ""},
		{"no base64", `{"auth":"hunter2!"}`, Login{}, "its auth is not base64"},
		{"no colon", `{"auth":"` + encoded("hunter2") + `"}`, Login{}, "its auth holds no colon"},
		{"no user name", `{"auth":"` + encoded(":hunter2") + `"}`, Login{}, "its auth holds no user name"},
		{"a text", `"hunter2"`, Login{}, "it is not a JSON object with string values"},
		{"a number", `{"auth":7}`, Login{}, "it is not a JSON object with string values"},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			path := s.docker(t, `{"auths":{"h":`+test.entry+`}}`)
			if !test.want.Empty() {
				test.want.From = path
			}
			store := s.store("")
			if got := find(t, store, "h", "app"); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			find(t, store, "h", "app")
			s.checkWarned(t, path, test.warning)
		})
	}
}

// checkWarned checks that there is one warning, that it holds these words, and
// no secret; or that there is none, if there are no words.
func (s *site) checkWarned(t *testing.T, path, words string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if words == "" {
		if len(s.warnings) > 0 {
			t.Errorf("warned %q", s.warnings)
		}
		return
	}
	if len(s.warnings) != 1 {
		t.Fatalf("warned %q, want one warning of %q", s.warnings, words)
	}
	for _, want := range []string{words, path, "docker login"} {
		if !strings.Contains(s.warnings[0], want) {
			t.Errorf("warned %q without %q", s.warnings[0], want)
		}
	}
	if strings.Contains(s.warnings[0], "hunter2") {
		t.Errorf("the warning holds a secret: %q", s.warnings[0])
	}
}

func TestAnEmptyOrDamagedEntryHidesNoOther(t *testing.T) {
	s := newSite(t)
	path := s.docker(t, `{"auths":{"h/team/app":{"auth":"hunter2!"},"h/team":{},"h":{"auth":"`+encoded("u:p")+`"}}}`)
	if got := find(t, s.store(""), "h", "team/app"); got.Username != "u" {
		t.Errorf("got %v", got)
	}
	s.checkWarned(t, path, "the entry for h/team/app is damaged")
}

func TestAnEntryOfARepository(t *testing.T) {
	s := newSite(t)
	s.docker(t, `{"auths":{"h/team":{"auth":"`+encoded("team:p")+`"},"h/other":{"auth":"`+encoded("other:p")+`"}}}`)
	store := s.store("")
	for repository, want := range map[string]string{"team/app": "team", "team": "team", "other": "other", "tea": "", "teams/app": ""} {
		if got := find(t, store, "h", repository); got.Username != want {
			t.Errorf("%s: got %v", repository, got)
		}
	}
}

func TestOddFiles(t *testing.T) {
	login := auths("h", "u", "hunter2")
	for _, test := range []struct{ about, text, user, warning string }{
		{"a byte order mark", "\xef\xbb\xbf" + login, "u", ""},
		{"empty", "", "", ""},
		{"white space", " \r\n", "", ""},
		{"null", "null", "", ""},
		{"an empty object", "{}", "", ""},
		{"broken JSON", "{\n" + `"auths": {"h": {"auth": hunter2`, "", "its JSON is broken in line 2"},
		{"half a file", login[:len(login)-3], "", "its JSON is broken in line 1"},
		{"text behind it", login + "hunter2", "", "its JSON is broken in line 1"},
		{"a list of entries", "{\n\n" + `"auths": ["hunter2"]}`, "", "its JSON holds a value of the wrong type in line 3"},
		{"a list", `["hunter2"]`, "", "its JSON holds a value of the wrong type in line 1"},
		{"1 MiB", login + strings.Repeat(" ", mostFileBytes-len(login)), "u", ""},
		{"more than 1 MiB", login + strings.Repeat(" ", mostFileBytes), "", "it is larger than 1 MiB"},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			path := s.docker(t, test.text)
			store := s.store("")
			for _, host := range []string{"h", "h", "other"} {
				if got := find(t, store, host, "app"); host == "h" && got.Username != test.user {
					t.Errorf("got %v", got)
				}
			}
			s.checkWarned(t, path, test.warning)
		})
	}
}

func TestABrokenFileHidesNoOther(t *testing.T) {
	s := newSite(t)
	path := s.docker(t, "{")
	s.write(t, ".config/containers/auth.json", auths("h", "u", "p"))
	if got := find(t, s.store(""), "h", "app"); got.Username != "u" {
		t.Errorf("got %v", got)
	}
	s.checkWarned(t, path, "its JSON is broken")
}

func TestAFileThatDoesNotExist(t *testing.T) {
	s := newSite(t)
	find(t, s.store(""), "h", "app")
	s.checkWarned(t, "", "")

	missing := filepath.Join(s.home, "missing.json")
	store := s.store(missing)
	find(t, store, "h", "app")
	find(t, store, "other", "app")
	s.checkWarned(t, missing, "does not exist")

	s.warnings = nil
	t.Setenv("REGISTRY_AUTH_FILE", missing)
	find(t, s.store(""), "h", "app")
	if len(s.warnings) != 1 || !strings.Contains(s.warnings[0], "unset REGISTRY_AUTH_FILE") {
		t.Errorf("warned %q", s.warnings)
	}
}

func TestWarningsNeedNoReceiver(t *testing.T) {
	s := newSite(t)
	s.docker(t, "{")
	if got := find(t, New(""), "h", "app"); !got.Empty() {
		t.Errorf("got %v", got)
	}
}

func TestOneFileByTwoNamesIsReportedOnce(t *testing.T) {
	s := newSite(t)
	path := s.docker(t, "{")
	t.Setenv("REGISTRY_AUTH_FILE", path)
	find(t, s.store(""), "h", "app")
	s.checkWarned(t, path, "its JSON is broken")
}
