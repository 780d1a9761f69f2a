package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/segpull/segpull/sources"
)

// clientConfig is what a client's configuration needs to pull through the server.
type clientConfig struct {
	text func(address string, registries []string) string // address is host:port
	note string                                           // where it goes, and what activates it
}

var clientConfigs = map[string]clientConfig{
	"docker": {dockerConfig, `Write it to /etc/docker/daemon.json (rootless: ~/.config/docker/daemon.json), or add the key to what is there, and run
  systemctl reload docker
Docker asks it for images of Docker Hub only, and Docker Hub itself if it does not answer. Docker 29 with the
containerd store can use it for all registries: by what --print-config containerd prints, in
/etc/docker/certs.d/_default/hosts.toml.`},
	"containerd": {containerdConfig, `Write it to /etc/containerd/certs.d/_default/hosts.toml. It is for all registries, and needs no restart, if
config_path in /etc/containerd/config.toml is "/etc/containerd/certs.d" (before containerd 2.2, set it; then
  systemctl restart containerd
). nerdctl reads it too; ctr with --hosts-dir /etc/containerd/certs.d.`},
	"k3s": {k3sConfig, `Write it to /etc/rancher/k3s/registries.yaml (RKE2: /etc/rancher/rke2/registries.yaml), and run
  systemctl restart k3s`},
	"podman": {podmanConfig, `Write it to /etc/containers/registries.conf.d/50-segpull.conf (without root:
~/.config/containers/registries.conf.d/). Podman, CRI-O, buildah and skopeo read it with each command; for CRI-O run
  systemctl reload crio`},
	"buildkit": {buildkitConfig, `Write it to /etc/buildkit/buildkitd.toml and restart buildkitd, or use it with
  docker buildx create --use --driver-opt network=host --buildkitd-config buildkitd.toml
A builder in a container of its own does not see the loopback address of this machine otherwise.`},
}

// wellKnown are the registries that clients are configured for, if they may be served and
// the configuration has no list.
var wellKnown = []string{"docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws"}

// printConfig prints what a client's configuration needs.
func (a *app) printConfig(own *serveFlags, served sources.Server) error {
	client, ok := clientConfigs[own.printConfig]
	if !ok {
		return usagef("print-config %q is unknown; use one of %s%s", own.printConfig, strings.Join(slices.Sorted(maps.Keys(clientConfigs)), ", "), seeServeHelp)
	}
	address := clientAddress(own.addresses())
	if address == "" {
		return usagef("these clients need an address host:port: give it with --listen%s", seeServeHelp)
	}
	var registries []string
	for _, registry := range slices.Concat(wellKnown, served.Named()) {
		if served.Serves(registry) && !slices.Contains(registries, registry) {
			registries = append(registries, registry)
		}
	}
	fmt.Fprintln(a.stderr, language.Text(client.note))
	_, err := io.WriteString(a.stdout, client.text(address, registries))
	return err
}

// clientAddress returns the host and port of the first address that clients can use; an
// address of all interfaces stands for loopback.
func clientAddress(listen []string) string {
	for _, address := range listen {
		host, port, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(address, "unix:") {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return net.JoinHostPort(host, port)
	}
	return ""
}

func dockerConfig(address string, _ []string) string {
	return fmt.Sprintf("{\n  \"registry-mirrors\": [\"http://%s\"]\n}\n", address)
}

func containerdConfig(address string, _ []string) string {
	return fmt.Sprintf(`[host."http://%s"]
  capabilities = ["pull", "resolve"]
  dial_timeout = "1s"
`, address)
}

func k3sConfig(address string, registries []string) string {
	var b strings.Builder
	b.WriteString("mirrors:\n")
	for _, registry := range registries {
		fmt.Fprintf(&b, "  %q:\n    endpoint:\n      - \"http://%s\"\n", registry, address)
	}
	return b.String()
}

func podmanConfig(address string, registries []string) string {
	var b strings.Builder
	for _, registry := range registries {
		fmt.Fprintf(&b, `[[registry]]
prefix = %[1]q
location = %[1]q
[[registry.mirror]]
location = "%[2]s/%[1]s"
insecure = true

`, registry, address)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func buildkitConfig(address string, registries []string) string {
	var b strings.Builder
	for _, registry := range registries {
		fmt.Fprintf(&b, "[registry.%q]\n  mirrors = [%q]\n", registry, address)
	}
	fmt.Fprintf(&b, "[registry.%q]\n  http = true\n", address)
	return b.String()
}
