package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/segpull/segpull/internal/access"
	"github.com/segpull/segpull/sources"
)

// clientConfig is what a client's configuration needs to pull through the server.
type clientConfig struct {
	text func(server) string
	note string // where it goes, and what activates it
	keys string // with TLS: the directory for ca.crt, client.cert and client.key
}

// server is what a client has to know of the server.
type server struct {
	address    string // host:port
	scheme     string // http or https
	registries []string
	ca         bool // whether it needs the certificate of an authority
	cert       bool // whether it shows a certificate of its own
	token      bool // whether it sends a token
}

func (s server) url() string { return s.scheme + "://" + s.address }

func (s server) tls() bool { return s.scheme == "https" }

var clientConfigs = map[string]clientConfig{
	"docker": {dockerConfig, `Write it to /etc/docker/daemon.json (rootless: ~/.config/docker/daemon.json), or add the key to what is there, and run
  systemctl reload docker
Docker asks it for images of Docker Hub only, and Docker Hub itself if it does not answer. Docker 29 with the
containerd store can use it for all registries: by what --print-config containerd prints, in
/etc/docker/certs.d/_default/hosts.toml.`, "/etc/docker/certs.d/%s"},
	"containerd": {containerdConfig, `Write it to /etc/containerd/certs.d/_default/hosts.toml. It is for all registries, and needs no restart, if
config_path in /etc/containerd/config.toml is "/etc/containerd/certs.d" (before containerd 2.2, set it; then
  systemctl restart containerd
). nerdctl reads it too; ctr with --hosts-dir /etc/containerd/certs.d.`, "/etc/containerd/certs.d/_default"},
	"k3s": {k3sConfig, `Write it to /etc/rancher/k3s/registries.yaml (RKE2: /etc/rancher/rke2/registries.yaml), and run
  systemctl restart k3s`, "/etc/rancher/k3s"},
	"podman": {podmanConfig, `Write it to /etc/containers/registries.conf.d/50-segpull.conf (without root:
~/.config/containers/registries.conf.d/). Podman, CRI-O, buildah and skopeo read it with each command; for CRI-O run
  systemctl reload crio`, "/etc/containers/certs.d/%s"},
	"buildkit": {buildkitConfig, `Write it to /etc/buildkit/buildkitd.toml and restart buildkitd, or use it with
  docker buildx create --use --driver-opt network=host --buildkitd-config buildkitd.toml
A builder in a container of its own does not see the loopback address of this machine otherwise.`, "/etc/buildkit"},
}

// wellKnown are the registries that clients are configured for, if they may be served and
// the configuration has no list.
var wellKnown = []string{"docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws"}

// printConfig prints what a client's configuration needs.
func (a *app) printConfig(own *serveFlags, served sources.Server, guard *access.Guard) error {
	client, ok := clientConfigs[own.printConfig]
	if !ok {
		return usagef("print-config %q is unknown; use one of %s%s", own.printConfig, strings.Join(slices.Sorted(maps.Keys(clientConfigs)), ", "), seeServeHelp)
	}
	s := server{
		address: clientAddress(own.addresses(), cmp.Or(guard.Name(), "127.0.0.1")), scheme: scheme(guard),
		cert: own.files.ClientCA != "", token: own.files.Token != "" && own.files.ClientCA == "",
	}
	s.ca = s.tls() && !guard.SystemTrusts()
	if s.address == "" {
		return usagef("these clients need an address host:port: give it with --listen%s", seeServeHelp)
	}
	for _, registry := range slices.Concat(wellKnown, served.Named()) {
		if served.Serves(registry) && !slices.Contains(s.registries, registry) {
			s.registries = append(s.registries, registry)
		}
	}
	fmt.Fprintln(a.stderr, language.Text(client.note))
	if note := s.keysNote(own.printConfig, client.keys); note != "" {
		fmt.Fprintln(a.stderr, note)
	}
	_, err := io.WriteString(a.stdout, client.text(s))
	return err
}

// loginProgram has the program whose logins a client uses.
var loginProgram = map[string]string{"podman": "podman", "buildkit": "docker"}

// keysNote says which files and logins a client needs, and where; "" if none.
func (s server) keysNote(client, dir string) string {
	var lines []string
	dir = strings.ReplaceAll(dir, "%s", s.address)
	if s.ca {
		lines = append(lines, say("Copy the certificate of the authority that signed the server's to %s/ca.crt.", dir))
	}
	if s.cert {
		lines = append(lines, say("Copy the client's certificate and key to %[1]s/client.cert and %[1]s/client.key.", dir))
	}
	switch {
	case !s.token:
	case client == "docker":
		lines = append(lines, say("Docker would send the password of Docker Hub to a mirror that wants a token: use --client-ca, or pull by the path, after docker login, as %s/docker.io/library/ubuntu:22.04.", s.address))
	case client == "podman", client == "buildkit":
		lines = append(lines, say("The token is the password of %s login %s, with any user name.", loginProgram[client], s.address))
	default:
		lines = append(lines, say("Write the token in place of TOKEN. Only root should be able to read the file."))
	}
	return strings.Join(lines, "\n")
}

// clientAddress returns the host and port of the first address that clients can use; name
// takes the place of an address of all interfaces.
func clientAddress(listen []string, name string) string {
	for _, address := range listen {
		host, port, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(address, "unix:") {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = name
		}
		return net.JoinHostPort(host, port)
	}
	return ""
}

func dockerConfig(s server) string {
	return fmt.Sprintf("{\n  \"registry-mirrors\": [%q]\n}\n", s.url())
}

// containerdConfig has paths relative to the directory of hosts.toml.
func containerdConfig(s server) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[host.%q]
  capabilities = ["pull", "resolve"]
  dial_timeout = "1s"
`, s.url())
	if s.ca {
		b.WriteString("  ca = \"ca.crt\"\n")
	}
	if s.cert {
		b.WriteString("  client = [[\"client.cert\", \"client.key\"]]\n")
	}
	if s.token {
		fmt.Fprintf(&b, "[host.%q.header]\n  Authorization = \"Bearer TOKEN\"\n", s.url())
	}
	return b.String()
}

func k3sConfig(s server) string {
	var b strings.Builder
	b.WriteString("mirrors:\n")
	for _, registry := range s.registries {
		fmt.Fprintf(&b, "  %q:\n    endpoint:\n      - %q\n", registry, s.url())
	}
	if s.ca || s.cert || s.token {
		fmt.Fprintf(&b, "configs:\n  %q:\n", s.address)
	}
	if s.ca || s.cert {
		b.WriteString("    tls:\n")
	}
	if s.ca {
		b.WriteString("      ca_file: /etc/rancher/k3s/ca.crt\n")
	}
	if s.cert {
		b.WriteString("      cert_file: /etc/rancher/k3s/client.cert\n      key_file: /etc/rancher/k3s/client.key\n")
	}
	if s.token {
		b.WriteString("    auth:\n      username: segpull\n      password: TOKEN\n")
	}
	return b.String()
}

func podmanConfig(s server) string {
	insecure := "insecure = true\n"
	if s.tls() {
		insecure = ""
	}
	var tables []string
	for _, registry := range s.registries {
		tables = append(tables, fmt.Sprintf(`[[registry]]
prefix = %[1]q
location = %[1]q
[[registry.mirror]]
location = "%[2]s/%[1]s"
%[3]s`, registry, s.address, insecure))
	}
	return strings.Join(tables, "\n")
}

func buildkitConfig(s server) string {
	var b strings.Builder
	for _, registry := range s.registries {
		fmt.Fprintf(&b, "[registry.%q]\n  mirrors = [%q]\n", registry, s.address)
	}
	fmt.Fprintf(&b, "[registry.%q]\n", s.address)
	if !s.tls() {
		b.WriteString("  http = true\n")
	}
	if s.ca {
		b.WriteString("  ca = [\"/etc/buildkit/ca.crt\"]\n")
	}
	if s.cert {
		fmt.Fprintf(&b, "  [[registry.%q.keypair]]\n    cert = \"/etc/buildkit/client.cert\"\n    key = \"/etc/buildkit/client.key\"\n", s.address)
	}
	return b.String()
}
