//go:build unix

package credentials

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helper writes a credential helper, a shell script, into the PATH. The script
// may use $server. Each run leaves a line in the file that asked reads.
func (s *site) helper(t *testing.T, name, script string) {
	t.Helper()
	log := filepath.Join(s.home, "log")
	path := s.write(t, "bin/docker-credential-"+name, "#!/bin/sh\nserver=$(cat)\necho \"$1 $server\" >>'"+log+"'\n"+script+"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if bin := filepath.Dir(path); !strings.HasPrefix(os.Getenv("PATH"), bin) {
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	}
}

// asked returns what helpers were asked.
func (s *site) asked(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.home, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(log)), "\n"), ", ")
}

const (
	answers = `echo '{"ServerURL":"'$server'","Username":"u","Secret":"hunter2"}'`
	hasNone = `echo credentials not found in native keychain; exit 1`
)

func TestAHelperAnswers(t *testing.T) {
	for _, test := range []struct {
		about, script string
		want          Login
	}{
		{"a password", answers, Login{Username: "u", Password: "hunter2"}},
		{"an identity token", `echo '{"Username":"<token>","Secret":"hunter2"}'`, Login{IdentityToken: "hunter2"}},
		{"words on stderr", `echo "warning: old" >&2; ` + answers, Login{Username: "u", Password: "hunter2"}},
		{"a lot on stderr", `head -c 100000 /dev/zero >&2; ` + answers, Login{Username: "u", Password: "hunter2"}},
		{"a child that keeps its pipes open", `sleep 1000 & echo $! >"$HOME/child"; ` + answers, Login{Username: "u", Password: "hunter2"}},
		{"nothing", `echo '{"ServerURL":"","Username":"","Secret":""}'`, Login{}},
		{"none, on stdout", hasNone, Login{}},
		{"none, on stderr", `echo "Error: credentials not found in native keychain." >&2; exit 7`, Login{}},
		{"none, without a status", `echo credentials not found in native keychain`, Login{}},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			path := s.docker(t, `{"credsStore":"x"}`)
			s.helper(t, "x", test.script)
			if !test.want.Empty() {
				test.want.From = "credential helper docker-credential-x (named in " + path + ")"
			}
			defer s.endChild(t)
			if got := find(t, s.store(""), "h", "app"); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			s.checkWarned(t, "", "")
		})
	}
}

// child returns the process that a helper left in $HOME/child, or 0.
func (s *site) child(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home, "child"))
	if err != nil || !strings.HasSuffix(string(text), "\n") { // the shell creates the file before it writes the line
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func (s *site) endChild(t *testing.T) {
	t.Helper()
	if pid := s.child(t); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestWhichHelperIsAskedAndForWhat(t *testing.T) {
	for _, test := range []struct{ about, config, host, asked string }{
		{"the host", `{"credsStore":"none"}`, "h:5000", "get h:5000"},
		{"with the default port too", `{"credsStore":"none"}`, "h", "get h, get h:443"},
		{"without the default port too", `{"credsStore":"none"}`, "h:443", "get h:443, get h"},
		{"IPv6", `{"credsStore":"none"}`, "[::1]", "get [::1], get [::1]:443"},
		{"IPv6 with a port", `{"credsStore":"none"}`, "[::1]:5000", "get [::1]:5000"},
		{"Docker Hub", `{"credsStore":"none"}`, "registry-1.docker.io", "get https://index.docker.io/v1/"},
		{"Docker Hub as podman stores it", `{"credHelpers":{"docker.io":"none"}}`, "docker.io", "get https://index.docker.io/v1/, get docker.io"},
		{"as the file spells it", `{"auths":{"https://h/v2/":{}},"credsStore":"none"}`, "h", "get h, get https://h/v2/"},
		{"the host's helper first", `{"credHelpers":{"h:5000":"none"},"credsStore":"absent"}`, "h:5000", "get h:5000"},
		{"the repository's helper first", `{"credHelpers":{"h:5000":"absent","h:5000/team":"none"}}`, "h:5000", "get h:5000, get h:5000/team"},
		{"another host's helper", `{"credHelpers":{"g":"none"}}`, "h", ""},
		{"a host without a helper", `{"credHelpers":{"h":""},"credsStore":"absent"}`, "h", ""},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			s.docker(t, test.config)
			s.helper(t, "none", hasNone)
			store := s.store("")
			for range 2 {
				find(t, store, test.host, "team/app")
			}
			if got := s.asked(t); got != test.asked {
				t.Errorf("asked %q, want %q", got, test.asked)
			}
			s.checkWarned(t, "", "")
		})
	}
}

func TestTheFileIsAskedWhereTheHelperHasNothing(t *testing.T) {
	s := newSite(t)
	path := s.docker(t, `{"credsStore":"x","auths":{"h":{"auth":"`+encoded("u:p")+`"}}}`)
	s.helper(t, "x", hasNone)
	if got := find(t, s.store(""), "h", "app"); got.From != path {
		t.Errorf("got %v", got)
	}
}

func TestAnAnswerIsKept(t *testing.T) {
	s := newSite(t)
	s.docker(t, `{"credsStore":"x"}`)
	s.helper(t, "x", answers)
	store := s.store("")
	for _, repository := range []string{"a", "b", "a"} {
		if got := find(t, store, "h", repository); got.Username != "u" {
			t.Errorf("got %v", got)
		}
	}
	if got := s.asked(t); got != "get h" {
		t.Errorf("asked %q", got)
	}
}

func TestAHelperFails(t *testing.T) {
	for _, test := range []struct{ about, script, warning string }{
		{"in its own words", `echo "Error: item not found"; exit 3`, `failed for h (exit status 3): "Error: item not found"; run docker-credential-x get`},
		{"on stderr", `printf 'The name org.freedesktop.secrets\n\twas not \033provided\n' >&2; exit 1`, `(exit status 1): "The name org.freedesktop.secrets was not provided"`},
		{"at length", `for i in 1 2 3 4 5 6 7 8 9; do echo "error 789 123456789 123456789"; done; exit 1`, `123456789 error 789 123456789"; run`},
		{"without words", `exit 1`, `failed for h (exit status 1); run`},
		{"by a signal", `kill -9 $$`, `failed for h (signal: killed); run`},
		{"with a secret", answers + `; exit 1`, `(exit status 1); run`},
		{"with half a secret", `echo '"Secret" : "hunter2'; exit 1`, `(exit status 1); run`},
		{"with a secret alone", `echo hunter2; exit 1`, `(exit status 1); run`},
		{"with a trace", `set -x; true the login hunter2; exit 1`, `(exit status 1); run`},
		{"with an answer in another form", `echo login hunter2`, `printed something other than a login in JSON; run`},
		{"with half an answer", `echo '{"Username":"u","Secret":"hunter2'`, `printed something other than a login in JSON; run`},
		{"with words and without a status", `echo "not logged in" >&2`, `printed something other than a login in JSON: "not logged in"; run`},
		{"with too much", `echo '{"Username":"u","Secret":"hunter2","x":"'; head -c 70000 /dev/zero; echo '"}'`, `printed more than 64 KiB; run`},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			path := s.docker(t, `{"credsStore":"x","auths":{"h":{"auth":"`+encoded("plain:p")+`"}}}`)
			s.helper(t, "x", test.script)
			store := s.store("")
			for range 2 {
				if got := find(t, store, "h", "app"); got.Username != "plain" {
					t.Errorf("the file's entry was not found: got %v", got)
				}
			}
			s.checkWarned(t, path, test.warning)
			if got := s.asked(t); got != "get h, get h" {
				t.Errorf("asked %q", got)
			}
		})
	}
}

func TestAHelperThatFailedMaySucceed(t *testing.T) {
	s := newSite(t)
	s.docker(t, `{"credsStore":"x"}`)
	s.helper(t, "x", `[ -e "$HOME/unlocked" ] || { echo "it is locked"; exit 1; }; `+answers)
	store := s.store("")
	if got := find(t, store, "h", "app"); !got.Empty() {
		t.Errorf("got %v", got)
	}
	s.write(t, "unlocked", "")
	if got := find(t, store, "h", "app"); got.Username != "u" {
		t.Errorf("got %v", got)
	}
}

func TestAHelperThatCannotBeStarted(t *testing.T) {
	for _, test := range []struct{ about, name, warning string }{
		{"absent", "absent", "credential helper docker-credential-absent, which "},
		{"no program", "text", "docker-credential-text, which "},
		{"in another directory", "../x", `names the credential helper "../x", which is not a plain file name`},
		{"in another directory of Windows", `..\\x`, `which is not a plain file name`},
		{"two lines", `x\ny`, `names the credential helper "x y", which is not a plain file name`},
	} {
		t.Run(test.about, func(t *testing.T) {
			s := newSite(t)
			path := s.docker(t, `{"credsStore":"`+test.name+`"}`)
			s.helper(t, "x", answers)
			if err := os.Chmod(s.write(t, "bin/docker-credential-text", "\x00"), 0o700); err != nil {
				t.Fatal(err)
			}
			store := s.store("")
			for _, host := range []string{"h", "g", "h"} {
				if got := find(t, store, host, "app"); !got.Empty() {
					t.Errorf("got %v", got)
				}
			}
			if len(s.warnings) != 1 || !strings.Contains(s.warnings[0], test.warning) || !strings.Contains(s.warnings[0], path) {
				t.Errorf("warned %q", s.warnings)
			}
			if got := s.asked(t); got != "" {
				t.Errorf("asked %q", got)
			}
		})
	}
}

func TestAHelperThatHangsIsKilledWithItsChildren(t *testing.T) {
	s := newSite(t)
	path := s.docker(t, `{"credsStore":"x","auths":{"h":{"auth":"`+encoded("plain:p")+`"}}}`)
	s.helper(t, "x", `sleep 1000 & echo $! >"$HOME/child"; wait`)
	defer s.endChild(t)
	store := s.store("")
	store.helpers.timeout = 2 * time.Second
	start := time.Now()
	for _, host := range []string{"h", "g", "h"} {
		if got := find(t, store, host, "app"); host == "h" && got.Username != "plain" {
			t.Errorf("the file's entry was not found: got %v", got)
		}
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	s.checkWarned(t, path, "docker-credential-x, which "+path+" names, did not answer within 10s and is not asked again; unlock")
	if got := s.asked(t); got != "get h" {
		t.Errorf("asked %q", got)
	}
	s.checkChildEnds(t)
}

// checkChildEnds checks that the process that a helper left in $HOME/child
// ends soon.
func (s *site) checkChildEnds(t *testing.T) {
	t.Helper()
	pid := s.child(t)
	if pid == 0 {
		t.Fatal("the helper left no child")
	}
	for range 500 {
		if isGone(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the child of the helper still runs")
}

// isGone reports whether a process has ended. Where no process collects it, it
// stays as a zombie, which has no command line.
func isGone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && len(cmdline) == 0
}

func TestAHelperEndsWithItsLastCaller(t *testing.T) {
	s := newSite(t)
	s.docker(t, `{"credsStore":"x"}`)
	s.helper(t, "x", `sleep 1000 & echo $! >"$HOME/child"; wait`)
	defer s.endChild(t)
	store := s.store("")
	ctx, cancel := context.WithCancelCause(t.Context())
	leaving := errors.New("leaving")
	go func() {
		for s.child(t) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(leaving)
	}()
	if _, err := store.Find(ctx, "h", "app"); !errors.Is(err, leaving) {
		t.Errorf("got %v", err)
	}
	s.checkChildEnds(t)
	s.checkWarned(t, "", "")
}
