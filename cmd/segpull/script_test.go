package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/internal/testmain"
)

// TestMain lets scripts and tests run the command as "segpull", in a separate process
// of this test binary.
func TestMain(m *testing.M) {
	// Each process would sleep for a second at its end under the race detector.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(leakFree{m}, map[string]func(){"segpull": leakFreeMain, "stubborn": stubborn})
}

type leakFree struct{ *testing.M }

func (m leakFree) Run() int {
	os.Setenv("LC_ALL", "C") // tests want English, whoever runs them; scripts have an environment of their own
	testmain.AtOnce(8)
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// leakFreeMain is main, and fails if a goroutine is left.
func leakFreeMain() {
	systemRoot = cmp.Or(os.Getenv("SYSTEM_ROOT"), "/nonexistent") // not this machine's
	code := run(os.Args[1:], os.Stdout, os.Stderr)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 99
	}
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("SYSTEM_ROOT", env.WorkDir+"/root")
			env.Setenv("TERM", "xterm")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry":    startRegistry,
			"certificate": writeCertificate,
			"closes":      closes,
			"exits":       exits,
			"events":      events,
			"fill":        fill,
			"flip":        flip,
			"fetch":       fetch,
			"await":       await,
			"digest":      readDigest,
		},
	})
}

var amd64 = registrytest.NewImage(registrytest.ImageOptions{Seed: 1, Platform: "linux/amd64", Layers: []int64{300 << 10, 64 << 10}})

// testRegistry has app:1 for two platforms, and single:1, a manifest alone.
func testRegistry() *registrytest.Server {
	s := registrytest.New()
	arm := registrytest.NewImage(registrytest.ImageOptions{Seed: 2, Platform: "linux/arm64"})
	s.Push("library/app", "1", registrytest.NewIndex(amd64, arm))
	s.Push("library/single", "1", amd64)
	return s
}

// faults are the faults that scripts can give to their registries.
var faults = map[string]registrytest.Fault{
	"password": registrytest.Basic("user", "password"),
	"corrupt":  registrytest.Flip(100, 101),
	"restarts": registrytest.All(registrytest.IgnoreRange(), registrytest.CutAfter(250<<10).Of(amd64.Layers[0].Digest).Times(1)),
	"flaky":    registrytest.Status(http.StatusServiceUnavailable).Times(1),
	"talks":    registrytest.Raw("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\nout of turn", "", 0).On(registrytest.KindManifest).Times(2),
}

// registry NAME [FAULT] starts a registry; $NAME becomes its host and port.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	s := testRegistry()
	for _, name := range args[1:] {
		fault, ok := faults[name]
		if !ok {
			ts.Fatalf("no fault is called %s", name)
		}
		s.Misbehave(fault)
	}
	ts.Setenv(args[0], strings.TrimPrefix(s.Start(cleanup{ts}), "http://"))
}

type cleanup struct{ ts *testscript.TestScript }

func (c cleanup) Cleanup(f func()) { c.ts.Defer(f) }

// exits CODE COMMAND... runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// flip DIR flips a bit of the largest file in a directory.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	files, err := os.ReadDir(dir)
	ts.Check(err)
	var largest []byte
	var path string
	for _, f := range files {
		body, err := os.ReadFile(filepath.Join(dir, f.Name()))
		ts.Check(err)
		if len(body) > len(largest) {
			largest, path = body, filepath.Join(dir, f.Name())
		}
	}
	largest[len(largest)/2] ^= 1
	ts.Check(os.WriteFile(path, largest, 0o600))
}

// fill FILE puts the values of variables into a file.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// events NAME... wants standard error of the last command to be JSON events of
// these kinds, in this order; repeated ones count once.
func events(ts *testscript.TestScript, _ bool, names []string) {
	var got []string
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		var e struct{ Event, Time string }
		ts.Check(json.Unmarshal([]byte(line), &e))
		if e.Time == "" {
			ts.Fatalf("no time: %s", line)
		}
		if len(got) == 0 || got[len(got)-1] != e.Event {
			got = append(got, e.Event)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		ts.Fatalf("events %v, want %v", got, names)
	}
}

// await NAME PATTERN waits until a background command has printed a line with the pattern
// to the file NAME, and puts its first group into $NAME.
func await(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[1])
	for range 1000 {
		body, _ := os.ReadFile(ts.MkAbs(args[0]))
		if m := pattern.FindSubmatch(body); m != nil {
			ts.Setenv(args[0], string(m[1]))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s has no line like %s:\n%s", args[0], args[1], ts.ReadFile(args[0]))
}

// digest puts the digest of the last result on standard output into $DIGEST.
func readDigest(ts *testscript.TestScript, _ bool, _ []string) {
	d, _, _ := strings.Cut(ts.ReadFile("stdout"), " ")
	ts.Setenv("DIGEST", d)
}

// fetch STATUS URL [PATTERN] makes a request; unix:PATH!URLPATH is one over a socket.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	client, url := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting()}}, args[1]
	if socket, path, ok := strings.Cut(url, "!"); ok {
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(socket, "unix:"))
		}}
		url = "http://any.name" + path
	}
	resp, err := client.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if fmt.Sprint(resp.StatusCode) != args[0] || len(args) > 2 && !regexp.MustCompile("(?m)"+args[2]).Match(body) {
		ts.Fatalf("%s: %s\n%s", url, resp.Status, body)
	}
}

// testCertificate is for example.com and 127.0.0.1.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates[0]
})

// trusting trusts testCertificate.
func trusting() *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(testCertificate().Leaf)
	return config
}

// certificate CERT KEY writes a certificate, which fetch trusts, and its key.
func writeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	cert := testCertificate()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	ts.Check(err)
	for i, block := range []pem.Block{{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, {Type: "PRIVATE KEY", Bytes: key}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[i]), pem.EncodeToMemory(&block), 0o600))
	}
}

// closes ADDRESS connects to a server that must close the connection without an answer.
func closes(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		ts.Fatalf("%d bytes", n)
	}
}
