package hostconf

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Containerd reads directories of hosts as containerd does
// (core/remotes/docker/config/hosts.go there).
type Containerd struct{ roots []string }

// NewContainerd returns a reader of the directories in roots, a list as config_path has
// it. Empty: those of the machine.
func NewContainerd(m Machine, roots string) Containerd {
	if roots == "" {
		return Containerd{m.containerdRoots()}
	}
	return Containerd{filepath.SplitList(roots)}
}

// configPath returns the roots that containerd's own configuration names, if this user
// may read it.
func (m Machine) configPath() []string {
	type registry struct {
		Registry struct {
			ConfigPath string `toml:"config_path"`
		} `toml:"registry"`
	}
	var c struct {
		Plugins struct {
			Old registry `toml:"io.containerd.grpc.v1.cri"`
			New registry `toml:"io.containerd.cri.v1.images"`
		} `toml:"plugins"`
	}
	data, err := read(m.system("etc/containerd/config.toml"))
	if err != nil || unmarshal(data, &c) != nil {
		return nil
	}
	var roots []string
	for _, root := range filepath.SplitList(cmp.Or(c.Plugins.New.Registry.ConfigPath, c.Plugins.Old.Registry.ConfigPath)) {
		roots = append(roots, m.system(root))
	}
	return roots
}

// Lookup returns the hosts of a registry, which is host[:port]: those of the first
// directory for it, or of the first _default, in the first root that has either.
func (c Containerd) Lookup(registry string) Answer {
	if registry == "" || strings.ContainsAny(registry, `/\`) || strings.Trim(registry, ".") == "" {
		return Answer{}
	}
	for _, root := range c.roots {
		for _, name := range directories(registry) {
			dir := filepath.Join(root, name)
			if !exists(dir) {
				continue
			}
			hosts, err := readDirectory(dir)
			a := Answer{Hosts: hosts, Named: name != anyRegistry}
			if err != nil {
				a.Problems = []error{&FileError{Place{File: filepath.Join(dir, hostsFile)}, err}}
			}
			return a
		}
	}
	return Answer{}
}

const (
	hostsFile   = "hosts.toml"
	anyRegistry = "_default"
)

// directories returns the names that the directory of a registry may have.
func directories(registry string) []string {
	names := []string{registry, anyRegistry}
	if i := strings.LastIndex(registry, ":"); i > 0 {
		names = append([]string{registry[:i] + "_" + registry[i+1:] + "_"}, names...)
	}
	return names
}

// readDirectory reads hosts.toml. If it is absent, empty or wrong, the certificates in
// the directory are those of the registry itself.
func readDirectory(dir string) ([]Host, error) {
	file := filepath.Join(dir, hostsFile)
	data, err := read(file)
	if err == nil && len(data) > 0 {
		var hosts []Host
		if hosts, err = parseHosts(data, file); err == nil {
			return hosts, nil
		}
	}
	if absent(err) {
		err = nil
	}
	return certificates(dir), err
}

// certificates returns the registry itself with the certificates in a directory.
func certificates(dir string) []Host {
	entries, _ := os.ReadDir(dir)
	own := Host{Last: true, Place: Place{File: dir}}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		switch filepath.Ext(file) {
		case ".crt":
			own.CA = append(own.CA, file)
		case ".cert":
			key := strings.TrimSuffix(file, ".cert") + ".key"
			if !exists(key) {
				key = ""
			}
			own.Clients = append(own.Clients, [2]string{file, key})
		}
	}
	if len(own.CA)+len(own.Clients) == 0 {
		return nil
	}
	return []Host{own}
}

// hostTable has the settings of one host. The types of CA, Client and Header vary.
type hostTable struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`
	Client       any            `toml:"client"`
	SkipVerify   bool           `toml:"skip_verify"`
	Header       map[string]any `toml:"header"`
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
}

// parseHosts reads hosts.toml: the hosts in the order of their headers, then the root
// table.
func parseHosts(data []byte, file string) ([]Host, error) {
	var c struct {
		hostTable
		Server string               `toml:"server"`
		Hosts  map[string]hostTable `toml:"host"`
	}
	if err := unmarshal(data, &c); err != nil {
		return nil, err
	}
	var hosts []Host
	var seen []string
	for _, h := range headers(data) {
		if len(h.key) < 2 || h.key[0] != "host" || slices.Contains(seen, h.key[1]) {
			continue
		}
		seen = append(seen, h.key[1])
		host, err := c.Hosts[h.key[1]].host(h.key[1], file)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", shown(h.key[1]), err)
		}
		host.Line = h.line
		hosts = append(hosts, host)
	}
	root := c.hostTable
	if c.Server == "" {
		root.Capabilities = nil // the registry itself has all
	}
	last, err := root.host(c.Server, file)
	if err != nil {
		return nil, err
	}
	if last.hasSettings() {
		last.Last = true
		hosts = append(hosts, last)
	}
	return hosts, nil
}

// hasSettings reports whether a host is more than the registry itself as it is.
func (h Host) hasSettings() bool {
	return h.URL != nil || h.Unverified || len(h.CA)+len(h.Clients)+len(h.Header) > 0 || h.DialTimeout > 0
}

// host reads the settings of one host; address "" is the registry itself.
func (t hostTable) host(address, file string) (h Host, err error) {
	h.File, h.Namespace, h.Unverified = file, true, t.SkipVerify
	if h.Tags, err = tagsOf(t.Capabilities); err != nil {
		return Host{}, err
	}
	dir := filepath.Dir(file)
	if h.CA, err = filesOf(t.CA, dir); err != nil {
		return Host{}, err
	}
	if h.Clients, err = pairsOf(t.Client, dir); err != nil {
		return Host{}, err
	}
	if h.Header, err = fieldsOf(t.Header); err != nil {
		return Host{}, err
	}
	if t.DialTimeout != "" {
		if h.DialTimeout, err = time.ParseDuration(t.DialTimeout); err != nil || h.DialTimeout < 0 {
			return Host{}, fmt.Errorf("dial_timeout %q is not a time such as \"5s\"", t.DialTimeout)
		}
	}
	if address == "" {
		return h, nil
	}
	if h.URL, h.API, err = addressOf(address, t.OverridePath); err != nil {
		return Host{}, err
	}
	// With settings of TLS, http means: by TLS if the port speaks it.
	if h.URL.Scheme == "http" && (t.SkipVerify || len(h.CA)+len(h.Clients) > 0) {
		if h.URL.Port() == "" {
			h.URL.Host += ":80"
		}
		h.URL.Scheme, h.Plain = "https", true
	}
	return h, nil
}

// tagsOf reads capabilities; without any, a host has all. A tag needs pull and resolve.
// A digest is asked of any host.
func tagsOf(capabilities []string) (Permission, error) {
	if len(capabilities) == 0 {
		return Unsaid, nil
	}
	var pull, resolve bool
	for _, c := range capabilities {
		switch strings.ToLower(c) {
		case "pull":
			pull = true
		case "resolve":
			resolve = true
		case "push", "referrers":
		default:
			return Denied, fmt.Errorf("unknown capability %q", c)
		}
	}
	if pull && resolve {
		return Granted, nil
	}
	return Denied, nil
}

// addressOf reads the address of a host. The path ends in /v2, unless override is set.
func addressOf(address string, override bool) (*url.URL, string, error) {
	if !strings.HasPrefix(address, "http") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, "", errors.New("its address is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, "", errors.New("its address is not http(s)://HOST")
	case u.User != nil:
		return nil, "", errors.New("its address has a password")
	}
	p := path.Clean("/" + u.Path)
	if !override && !strings.HasSuffix(p, "/v2") {
		p = strings.TrimSuffix(p, "/") + "/v2"
	}
	api := p
	if override {
		api = RootOf(p)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: p}, api, nil
}

// RootOf returns a path up to its first part v2, or all of it if it has none.
func RootOf(p string) string {
	parts := strings.Split(p, "/")
	if i := slices.Index(parts, "v2"); i >= 0 {
		return strings.Join(parts[:i+1], "/")
	}
	return p
}

// stringsOf reads a string or a list of strings.
func stringsOf(value any) (list []string, ok bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case []any:
		for _, entry := range v {
			s, ok := entry.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

// filesOf reads a file, or a list of files.
func filesOf(value any, dir string) (files []string, err error) {
	names, ok := stringsOf(value)
	if !ok {
		return nil, errors.New("ca is neither a file nor a list of files")
	}
	for _, name := range names {
		files = append(files, relativeTo(dir, name))
	}
	return files, nil
}

// pairsOf reads client: a file that has certificate and key, or a list of such files and
// of pairs of files.
func pairsOf(value any, dir string) (pairs [][2]string, err error) {
	list, ok := value.([]any)
	if !ok && value != nil {
		list = []any{value}
	}
	for _, entry := range list {
		names, ok := stringsOf(entry)
		if _, alone := entry.(string); !ok || !alone && len(names) != 2 {
			return nil, errors.New("client is neither a file, nor a list of files and of pairs of files")
		}
		pair := [2]string{relativeTo(dir, names[0])}
		if len(names) == 2 && names[1] != "" {
			pair[1] = relativeTo(dir, names[1])
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// fieldsOf reads the fields of header, each with one value or a list of them.
func fieldsOf(fields map[string]any) (http.Header, error) {
	h := http.Header{}
	for name, value := range fields {
		values, ok := stringsOf(value)
		if !ok {
			return nil, fmt.Errorf("header %q is neither a string nor a list of strings", name)
		}
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h, nil
}

// shown returns an address without the password that it may hold.
func shown(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest, scheme = address, ""
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndex(rest, "@")+1:]
}
