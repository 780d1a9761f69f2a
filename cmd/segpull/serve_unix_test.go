//go:build unix

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving starts a server, and returns the address that it prints.
func serving(t *testing.T, cmd *exec.Cmd) (address string, rest *bufio.Reader) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	rest = bufio.NewReader(stderr)
	for {
		line, err := rest.ReadString('\n')
		if err != nil {
			t.Fatal("it ended without an address")
		}
		if address, ok := strings.CutPrefix(line, "listening on "); ok {
			return strings.TrimSpace(address), rest
		}
	}
}

// A server ends within five seconds, also while it sends a blob, and keeps what came.
func TestAServerEndsSoon(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			registry := testRegistry()
			registry.Throttle(20 << 10)
			cmd := command(t, "serve", "--listen", "127.0.0.1:0", "--cache-dir", "cache", "-m", registry.Start(t))
			address, rest := serving(t, cmd)
			for _, path := range []string{"manifests/1", "manifests/" + amd64.Manifest.Digest.String()} {
				resp, err := http.Get(address + "/v2/library/app/" + path)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %v, %v", path, resp, err)
				}
				resp.Body.Close()
			}
			resp, err := http.Get(address + "/v2/library/app/blobs/" + amd64.Layers[0].Digest.String())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 10<<10)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_ = cmd.Process.Signal(sig)
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("the answer ended as if it were complete")
			}
			_, _ = io.ReadAll(rest)
			if got, took := code(t, cmd.Wait()), time.Since(began); got != 0 || took > 10*time.Second { // five, and more on a busy machine
				t.Errorf("exit code %d after %v", got, took)
			}
			parts, err := filepath.Glob(filepath.Join(cmd.Dir, "cache", "parts", "*", "part"))
			if err != nil || len(parts) != 1 {
				t.Errorf("%q are left of unfinished blobs, %v", parts, err)
			}
		})
	}
}

// systemd opens the sockets, and waits until the server is ready.
func TestSocketActivation(t *testing.T) {
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		defer f.Close()
		files, addresses = append(files, f), append(addresses, l.Addr().String())
	}
	socket := filepath.Join(t.TempDir(), "notify")
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	cmd := command(t)
	cmd = exec.Command("sh", "-c", "LISTEN_PID=$$ exec segpull serve -m http://127.0.0.1:1 --cache-dir "+cmd.Dir)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=images:metrics", "NOTIFY_SOCKET="+socket, "XDG_CONFIG_HOME="+t.TempDir())
	cmd.ExtraFiles = files
	address, _ := serving(t, cmd)
	if address != "http://"+addresses[0] {
		t.Errorf("it listens on %s, want %s", address, addresses[0])
	}
	state := func() string {
		_ = notified.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 100)
		n, _ := notified.Read(buf)
		return string(buf[:n])
	}
	if got := state(); got != "READY=1" {
		t.Errorf("segpull sent %q to systemd", got)
	}
	for _, url := range []string{address + "/v2/", "http://" + addresses[1] + "/metrics"} {
		resp, err := http.Get(url)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", url, resp, err)
			continue
		}
		resp.Body.Close()
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if got := state(); got != "STOPPING=1" {
		t.Errorf("segpull sent %q to systemd", got)
	}
	if got := code(t, cmd.Wait()); got != 0 {
		t.Errorf("exit code %d", got)
	}
}
