package hostconf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// infoTimeout is how long docker may take to say how it is configured: its context may
	// lead to another machine.
	infoTimeout = 3 * time.Second
	// pipeTimeout is how long what docker leaves behind may keep its output open.
	pipeTimeout = 500 * time.Millisecond
)

// Docker is how dockerd reaches registries. The zero value has no mirrors.
type Docker struct {
	mirrors  []Host   // of Docker Hub
	insecure []string // hosts, with or without a port, and networks
	place    Place    // of insecure
	problems []error
}

// DockerInfo asks a running dockerd, by docker info. The bool says whether one answered
// within 3 s.
func DockerInfo(ctx context.Context) (Docker, bool) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "info", "--format", "{{json .RegistryConfig}}")
	cmd.WaitDelay = pipeTimeout
	var out limited
	cmd.Stdout = &out
	if cmd.Run() != nil {
		return Docker{}, false
	}
	d, err := parseInfo(out.kept)
	return d, err == nil
}

// limited keeps as much as a file may have.
type limited struct{ kept []byte }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > maxFile {
		return 0, errTooLarge
	}
	l.kept = append(l.kept, p...)
	return len(p), nil
}

// parseInfo reads the RegistryConfig of moby's api/types/registry.
func parseInfo(data []byte) (d Docker, err error) {
	var info *struct {
		Mirrors               []string
		InsecureRegistryCIDRs []string
		IndexConfigs          map[string]struct {
			Name   string
			Secure bool
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return Docker{}, err
	}
	if info == nil {
		return Docker{}, errors.New("no engine answers")
	}
	insecure := info.InsecureRegistryCIDRs
	for name, index := range info.IndexConfigs {
		if !index.Secure {
			insecure = append(insecure, name)
		}
	}
	slices.Sort(insecure)
	return newDocker(info.Mirrors, insecure, Place{Key: "docker info"})
}

// NewDocker reads daemon.json (moby's daemon/pkg/registry/config.go). file "" is the
// first that exists of the machine's.
func NewDocker(m Machine, file string) Docker {
	if file == "" {
		if file = firstOf(m.daemonFiles()); file == "" {
			return Docker{}
		}
	}
	data, err := read(file)
	if err == nil {
		var d Docker
		if d, err = parseDaemon(data, file); err == nil {
			return d
		}
	}
	if absent(err) {
		return Docker{}
	}
	return Docker{problems: []error{&FileError{Place{File: file}, err}}}
}

func parseDaemon(data []byte, file string) (Docker, error) {
	var c struct {
		Mirrors  []string `json:"registry-mirrors"`
		Insecure []string `json:"insecure-registries"`
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if len(bytes.TrimSpace(data)) == 0 {
		return Docker{}, nil
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return Docker{}, err
	}
	return newDocker(c.Mirrors, c.Insecure, Place{File: file})
}

// newDocker checks what a file or an engine says.
func newDocker(mirrors, insecure []string, place Place) (Docker, error) {
	d := Docker{place: place.withKey("insecure-registries")}
	for _, entry := range insecure {
		if network, err := netip.ParsePrefix(entry); err == nil && network.Addr().IsLoopback() {
			continue // in every engine; segpull tries http there anyway
		}
		// Older versions of docker took a scheme as well.
		_, host, ok := strings.Cut(entry, "://")
		if !ok {
			host = entry
		}
		d.insecure = append(d.insecure, host)
	}
	for _, address := range mirrors {
		h, err := mirrorOf(address)
		if err != nil {
			return Docker{}, fmt.Errorf("registry-mirrors: %q %w", shown(address), err)
		}
		if slices.ContainsFunc(d.mirrors, func(known Host) bool { return *known.URL == *h.URL }) {
			continue
		}
		h.Place = place.withKey("registry-mirrors")
		if h.URL.Scheme == "https" && d.isInsecure(h.URL.Host) {
			h.Unverified, h.Plain = true, true
		}
		d.mirrors = append(d.mirrors, h)
	}
	return d, nil
}

// withKey adds a key, unless an engine has reported the place.
func (p Place) withKey(key string) Place {
	if p.Key == "" {
		p.Key = key
	}
	return p
}

// mirrorOf reads one of registry-mirrors (ValidateMirror in moby). The engine asks
// PATH/v2.
func mirrorOf(address string) (Host, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return Host{}, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return Host{}, errors.New("does not begin with http:// or https://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Host{}, errors.New("has a user, a query or a fragment")
	case u.Hostname() == "":
		return Host{}, errors.New("has no host")
	}
	u, api, err := addressOf(address, false)
	return Host{URL: u, API: api}, err
}

// isInsecure reports whether a host is listed: as host, host:port or a network.
func (d Docker) isInsecure(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	addr, err := netip.ParseAddr(name)
	return slices.ContainsFunc(d.insecure, func(entry string) bool {
		if network, e := netip.ParsePrefix(entry); e == nil {
			return err == nil && network.Contains(addr.Unmap())
		}
		return strings.EqualFold(entry, host) || strings.EqualFold(entry, name)
	})
}

// Lookup returns the mirrors of a registry, of which only Docker Hub has any, and says
// whether the registry itself is insecure.
func (d Docker) Lookup(registry string) Answer {
	a := Answer{Problems: d.problems}
	if registry == dockerHub {
		a.Hosts, a.Named = slices.Clone(d.mirrors), len(d.mirrors) > 0
	}
	if d.isInsecure(registry) {
		a.Hosts = append(a.Hosts, Host{Last: true, Unverified: true, Plain: true, Place: d.place})
	}
	return a
}
