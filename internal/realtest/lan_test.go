package realtest

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// keys are the files with which a server and its clients know each other.
type keys struct{ dir string }

const lanToken = "0123456789abcdef0123456789abcdef"

// newKeys makes an authority, which signs the certificates of a server and of a client.
func newKeys(t *testing.T) keys {
	t.Helper()
	needs.Programs(t, "openssl")
	k := keys{tempDir(t)}
	newKey := []string{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	run(t, "openssl", append(newKey, "-subj", "/CN=authority", "-keyout", k.path("ca.key"), "-out", k.path("ca.crt"))...)
	for _, name := range []string{"server", "client"} {
		run(t, "openssl", append(newKey, "-CA", k.path("ca.crt"), "-CAkey", k.path("ca.key"), "-subj", "/CN="+name,
			"-addext", "subjectAltName=IP:127.0.0.1,IP:"+lanAddress(t), "-addext", "basicConstraints=critical,CA:FALSE",
			"-keyout", k.path(name+".key"), "-out", k.path(name+".cert"))...)
	}
	write(t, k.dir, "token", lanToken)
	return k
}

func (k keys) path(name string) string { return filepath.Join(k.dir, name) }

func (k keys) tls() []string {
	return []string{"--tls-cert", k.path("server.cert"), "--tls-key", k.path("server.key")}
}

// lanAddress is an address of this machine that is not on loopback, for which docker reads no
// certificates.
func lanAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	needs.Lack(t, "this machine has only loopback")
	return ""
}

// give copies files to a directory.
func (k keys) give(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(k.path(name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(text))
	}
}

// Each client pulls from a server with TLS, as its help says, with a certificate or a token.
// Without them it gets nothing.
func TestEnginesIdentifyThemselves(t *testing.T) {
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{3 * mib, mib}})
	first, _, _ := startMirrors(t, img)
	k := newKeys(t)
	byCert := append(k.tls(), "--client-ca", k.path("ca.crt"))
	byToken := append(k.tls(), "--token-file", k.path("token"))
	for about, test := range map[string]struct {
		flags []string
		start func(t *testing.T, s *server, client string) (e engine, identify func())
	}{
		"docker by certificate": {byCert, func(t *testing.T, s *server, config string) (engine, func()) {
			certs := filepath.Join("/etc/docker/certs.d", s.address)
			t.Cleanup(func() { os.RemoveAll(certs) })
			k.give(t, certs, "ca.crt")
			d := startDocker(t, "--config-file="+write(t, t.TempDir(), "daemon.json", config))
			return mirroredDocker{d}, func() { k.give(t, certs, "client.cert", "client.key") }
		}},
		"docker by token": {byToken, func(t *testing.T, s *server, _ string) (engine, func()) {
			certs := filepath.Join("/etc/docker/certs.d", s.address)
			t.Cleanup(func() { os.RemoveAll(certs) })
			k.give(t, certs, "ca.crt")
			d := dockerByPath{startDocker(t), s.address, t.TempDir()}
			return d, func() { d.login(t) }
		}},
		"containerd by certificate": {byCert, func(t *testing.T, s *server, config string) (engine, func()) {
			c := startContainerd(t, "containerd")
			all := filepath.Join(c.hosts, "_default")
			k.give(t, all, "ca.crt", "client.cert", "client.key")
			write(t, all, "hosts.toml", strings.Split(config, "  client =")[0])
			return newCtr(t, "ctr", c), func() { write(t, all, "hosts.toml", config) }
		}},
		"containerd by token": {byToken, func(t *testing.T, s *server, config string) (engine, func()) {
			c := startContainerd(t, "containerd")
			all := filepath.Join(c.hosts, "_default")
			k.give(t, all, "ca.crt")
			write(t, all, "hosts.toml", config)
			return newCtr(t, "ctr", c), func() {
				write(t, all, "hosts.toml", strings.ReplaceAll(config, "TOKEN", lanToken))
			}
		}},
		"podman by token": {byToken, func(t *testing.T, s *server, config string) (engine, func()) {
			certs := filepath.Join("/etc/containers/certs.d", s.address)
			t.Cleanup(func() { os.RemoveAll(certs) })
			k.give(t, certs, "ca.crt")
			auth := filepath.Join(t.TempDir(), "auth.json")
			t.Setenv("REGISTRY_AUTH_FILE", auth)
			write(t, filepath.Dir(auth), "auth.json", "{}")
			p := mirroredPodman{newPodman(t), write(t, t.TempDir(), "registries.conf", config)}
			return p, func() {
				write(t, filepath.Dir(auth), "auth.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.address,
					base64.StdEncoding.EncodeToString([]byte("segpull:"+lanToken))))
			}
		}},
	} {
		t.Run(about, func(t *testing.T) {
			_, port, _ := strings.Cut(freeAddress(t), ":")
			address := net.JoinHostPort(lanAddress(t), port)
			s := newServer(t, newHome(t), []string{first.url()}, append(test.flags, "--listen", address)...)
			s.address = address
			client, _, _ := strings.Cut(about, " ")
			config := s.home.pull(t, append([]string{"serve", "--print-config", client, "--listen", s.address}, test.flags...)...).stdout
			e, identify := test.start(t, s, config)
			if err := e.pull(t); err == nil {
				t.Error("it pulled without a certificate and a token")
			}
			identify()
			if err := e.pull(t); err != nil {
				t.Fatal(err)
			}
			e.check(t, img)
		})
	}
}

// dockerByPath pulls from the server itself, with a login.
type dockerByPath struct {
	docker
	address, config string
}

func (d dockerByPath) command(args ...string) []string {
	return append([]string{"--config=" + d.config}, d.args(args)...)
}

func (d dockerByPath) login(t *testing.T) {
	feed(t, strings.NewReader(lanToken), "docker", d.command("login", "--username=segpull", "--password-stdin", d.address)...)
}

func (d dockerByPath) ref() string { return d.address + "/docker.io/library/" + name }

func (d dockerByPath) pull(t *testing.T) error {
	_, err := try(t, nil, "docker", d.command("pull", d.ref())...)
	return err
}

func (d dockerByPath) check(t *testing.T, img registrytest.Image) { d.docker.check(t, d.ref(), img) }
