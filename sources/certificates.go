package sources

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segpull/segpull/internal/credentials"
)

// tls trusts the certificates of ca, and those that Docker and podman trust for
// the host, beside the system's, and presents the certificates that are there
// for the host.
func (e endpoint) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !e.verified()}
	switch {
	case e.verified():
	case e.url.Scheme == "http":
		return nil, &MirrorError{e.name, "tls-verify has no effect on a mirror on http", "remove it from its table"}
	case len(e.CA) > 0:
		return nil, &MirrorError{e.name, "its ca has no effect with tls-verify = false", "remove one of them from its table"}
	}
	files := hostFiles(e.url.Host)
	var err error
	if config.RootCAs, err = e.roots(files); err != nil {
		return nil, err
	}
	config.Certificates, err = e.identities(files)
	return config, err
}

// roots are the certificates to trust; nil: the system's.
func (e endpoint) roots(files []string) (*x509.CertPool, error) {
	trusted := slices.Concat(e.CA, withSuffix(files, ".crt"))
	if len(trusted) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, file := range trusted {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, &MirrorError{e.name, err.Error(), "correct its ca" + e.place()}
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, &MirrorError{e.name, "no PEM certificate in " + file, "correct its ca" + e.place()}
		}
	}
	return roots, nil
}

// identities are the client certificates of the mirror's table, else those of
// the host's directories.
func (e endpoint) identities(files []string) ([]tls.Certificate, error) {
	if len(e.clients) > 0 {
		return e.engineIdentities()
	}
	if e.ClientCert == "" && e.ClientKey == "" {
		return e.hostIdentities(files)
	}
	if e.ClientCert == "" || e.ClientKey == "" {
		return nil, &MirrorError{e.name, "it has only one of client-cert and client-key", "set both of them, or neither"}
	}
	pair, err := tls.LoadX509KeyPair(e.ClientCert, e.ClientKey)
	if err != nil {
		return nil, &MirrorError{e.name, fmt.Sprintf("client-cert %s, client-key %s: %v", e.ClientCert, e.ClientKey, err), "correct them in its table"}
	}
	return []tls.Certificate{pair}, nil
}

// engineIdentities reads the pairs of an engine's configuration. A file without another
// for the key has both.
func (e endpoint) engineIdentities() (pairs []tls.Certificate, err error) {
	for _, files := range e.clients {
		pair, err := tls.LoadX509KeyPair(files[0], cmp.Or(files[1], files[0]))
		if err != nil {
			return nil, &MirrorError{e.name, fmt.Sprintf("client certificate %s: %v", files[0], err), "correct it" + e.place()}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// hostIdentities reads the pairs NAME.cert and NAME.key.
func (e endpoint) hostIdentities(files []string) ([]tls.Certificate, error) {
	var pairs []tls.Certificate
	for _, cert := range withSuffix(files, ".cert") {
		key := strings.TrimSuffix(cert, ".cert") + ".key"
		if !slices.Contains(files, key) {
			return nil, &MirrorError{e.name, "client certificate " + cert + " has no key", "put it at " + key + ", or, if the certificate is one to trust, rename it to ….crt"}
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, &MirrorError{e.name, fmt.Sprintf("%s: %v", cert, err), "correct the files"}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

func withSuffix(files []string, suffix string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return filepath.Ext(f) != suffix })
}

// hostFiles lists the files in the directories that docker, containerd and
// podman have for a host (docs.docker.com/engine/security/certificates,
// containers-certs.d(5), containerd's docs/hosts.md).
func hostFiles(host string) []string {
	roots := []string{"/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/containerd/certs.d"}
	if config, err := userConfigDir(); err == nil {
		roots = append(roots, filepath.Join(config, "containers/certs.d"), filepath.Join(config, "docker/certs.d"))
	}
	var files []string
	for _, root := range roots {
		for _, name := range hostDirectories(host) {
			entries, _ := os.ReadDir(filepath.Join(root, name)) // mostly absent
			for _, entry := range entries {
				files = append(files, filepath.Join(root, name, entry.Name()))
			}
		}
	}
	return files
}

// hostDirectories are the names that a host's directory may have: with its
// port, also as containerd writes that, and without the default one.
func hostDirectories(host string) (names []string) {
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	host = strings.ToLower(host)
	add(host)
	add(credentials.Canonical(host))
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		add(host + ":443")
		return names
	}
	if port == "443" {
		add(name)
	}
	add(fmt.Sprintf("%s_%s_", name, port))
	return names
}

// userConfigDir is $XDG_CONFIG_HOME, or ~/.config where that is unset or
// relative (XDG Base Directory 0.8).
func userConfigDir() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("there is no home directory")
	}
	return filepath.Join(home, ".config"), nil
}

// warning says what follows from not checking the mirror's certificate.
func (e endpoint) warning() error {
	reason := "segpull does not check its certificate, so anyone on the network path can answer for it"
	switch {
	case e.push:
		reason += ", and gets what is pushed"
	case e.trusted():
		reason += ", also for tags"
	default:
		reason += ", and it is asked by digest only"
	}
	if e.engine {
		return &MirrorError{e.name, reason, "give its certificate with ca in place of skip_verify or insecure" + e.place()}
	}
	return &MirrorError{e.name, reason, "give its certificate with ca in place of tls-verify = false"}
}
