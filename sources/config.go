package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// Config is the user's configuration file: a default for every flag, and the
// mirrors that the user added. The zero value is that of an absent file.
type Config struct {
	// Mirrors are used where --mirror is not given, each for the registries
	// that it serves; the image's own registry follows them.
	Mirrors []string `toml:"mirrors"`

	// Output may begin with ~/.
	Output   string `toml:"output"`
	Format   string `toml:"format"`
	Platform string `toml:"platform"`
	// LimitRate is for all traffic together.
	LimitRate Timetable `toml:"limit-rate"`
	// GiveUpAfter is how long a pull continues without a byte. 0: the default.
	GiveUpAfter Duration `toml:"give-up-after"`
	// Connections is the most connections to one mirror. 0: the default.
	Connections int `toml:"connections"`
	// SegmentSize 0: the default.
	SegmentSize Size   `toml:"segment-size"`
	Progress    string `toml:"progress"`
	// Authfile is the only file to read logins from. Empty: those of docker
	// and podman. Relative to the directory of the configuration file.
	Authfile string `toml:"authfile"`
	// InsecureRegistries are asked by http where their port does not speak TLS:
	// host, host:port, or a network as 10.0.0.0/8. Those on loopback always
	// are.
	InsecureRegistries []string `toml:"insecure-registries"`
	Quiet              bool     `toml:"quiet"`
	Verbose            bool     `toml:"verbose"`

	// Mirror holds the [mirror.NAME] tables.
	Mirror map[string]Mirror `toml:"mirror"`

	path  string   // where it was read from, for messages
	order []string // names of Mirror as the file has them
}

// Mirror is a [mirror.NAME] table. With the name of a preset it changes the
// preset's fields; with the name of a registry (docker.io, host:5000) it says
// how the registry itself is reached.
type Mirror struct {
	// URL is http(s)://host[:port][/prefix]; the prefix comes after /v2/.
	// <id> and <registry> in it are replaced by ID and the image's registry.
	URL string `toml:"url"`
	// Registries are those that it mirrors; "*" stands for all. Without them
	// it serves docker.io, and any registry in a pull that names the mirror.
	Registries []string `toml:"registries"`
	// ID is the accelerator id of clouds that give each user an address.
	ID string `toml:"id"`
	// LimitRate is for this mirror alone. 0: no limit.
	LimitRate Rate `toml:"limit-rate"`
	// Connections is the most connections to this mirror. 0: as for all.
	Connections int `toml:"connections"`
	// CA names PEM files with certificates to trust in addition to the system's;
	// relative to the directory of the configuration file.
	CA Paths `toml:"ca"`
	// ClientCert and ClientKey name PEM files with the certificate that the
	// mirror's host requires, and its key; relative as CA.
	ClientCert string `toml:"client-cert"`
	ClientKey  string `toml:"client-key"`
	// Headers are sent to this mirror's host with every request.
	Headers map[string]string `toml:"headers"`
	// Proxy is an http, https or socks5 URL, or "direct" for none. Empty:
	// HTTP_PROXY, HTTPS_PROXY and NO_PROXY apply.
	Proxy string `toml:"proxy"`
	// NS sends ?ns=<registry>, for mirrors that serve several registries on
	// one host, like those of containerd. Default false.
	NS *bool `toml:"ns"`
	// Tags says whether the mirror resolves tags. Default true, or as
	// TLSVerify; false: it is asked by digest only.
	Tags *bool `toml:"tags"`
	// TLSVerify false turns off the check of the certificate of the mirror's
	// host, but not of hosts that it redirects to. Neither then gets credentials.
	// Default true.
	TLSVerify *bool `toml:"tls-verify"`
	// AllowInsecureStorage follows redirects of this mirror from https to http.
	// Default false.
	AllowInsecureStorage bool `toml:"allow-insecure-storage"`
	// AllowPrivateStorage follows redirects of this mirror to addresses that
	// are not public, though its own is. Default false.
	AllowPrivateStorage bool `toml:"allow-private-storage"`
}

// Paths is a list of files; TOML may give one as a string.
type Paths []string

// UnmarshalText takes the whole text as one path.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// ConfigPath returns $XDG_CONFIG_HOME/segpull/config.toml, with ~/.config for
// an unset or relative variable (XDG Base Directory 0.8), or "" where there is
// no home either.
func ConfigPath() string {
	dir, err := userConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "segpull", "config.toml")
}

// LoadConfig reads the file at path, which must exist, or with path "" the one
// at [ConfigPath], which need not. Errors of its text are one line for each
// fault, as FILE:LINE:COLUMN: what is wrong.
func LoadConfig(path string) (Config, error) {
	given := path != ""
	if !given {
		path = ConfigPath()
	}
	f, err := os.Open(path)
	if !given && (path == "" || absent(err)) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("%s: the file is larger than %v, the limit for a configuration: correct the path", path, Size(maxConfig))
	}
	return parseConfig(data, path)
}

// absent reports whether a file is not there; nothing is in a path that is not a directory,
// as with HOME=/dev/null.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func parseConfig(data []byte, path string) (Config, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // which editors on Windows write
	c := Config{path: path}
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, located(path, err)
	}
	c.order = mirrorOrder(data)
	if err := c.check(); err != nil {
		return Config{}, err
	}
	c.Output = atHome(c.Output)
	for name, m := range c.Mirror {
		dir := filepath.Dir(path)
		m.CA = absolute(m.CA, dir)
		m.ClientCert, m.ClientKey = resolved(m.ClientCert, dir), resolved(m.ClientKey, dir)
		c.Mirror[name] = m
	}
	c.Authfile = resolved(c.Authfile, filepath.Dir(path))
	return c, nil
}

// check refuses negative numbers; TOML integers reach Size and Rate
// without their UnmarshalText.
func (c Config) check() error {
	var all []error
	refuse := func(key string, n int64) {
		if n < 0 {
			all = append(all, fmt.Errorf("%s: %s = %d must not be negative", c.path, key, n))
		}
	}
	refuse("connections", int64(c.Connections))
	refuse("segment-size", int64(c.SegmentSize))
	for _, name := range c.mirrorNames() {
		m := c.Mirror[name]
		refuse("mirror."+name+".limit-rate", int64(m.LimitRate))
		refuse("mirror."+name+".connections", int64(m.Connections))
	}
	return errors.Join(all...)
}

// mirrorOrder returns the names of the [mirror.NAME] tables in the order of the
// file, which a Go map does not keep: a decoder for an empty document complains
// of every key in turn.
func mirrorOrder(data []byte) []string {
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&struct{}{})
	strict, ok := errors.AsType[*toml.StrictMissingError](err)
	if !ok {
		return nil
	}
	var names []string
	for _, e := range strict.Errors {
		if k := e.Key(); len(k) > 1 && k[0] == "mirror" && !slices.Contains(names, k[1]) {
			names = append(names, k[1])
		}
	}
	return names
}

// mirrorNames returns the names of the [mirror.NAME] tables in file order;
// those of an inline table or of a Config made by hand follow by name.
func (c Config) mirrorNames() []string {
	names := slices.Clone(c.order)
	var rest []string
	for name := range c.Mirror {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return append(names, rest...)
}

// absolute resolves ~/ and paths relative to dir.
func absolute(paths Paths, dir string) Paths {
	var out Paths
	for _, p := range paths {
		out = append(out, resolved(p, dir))
	}
	return out
}

// resolved is a path with ~/ for the home directory, or relative to dir; ""
// stays "".
func resolved(path, dir string) string {
	if path = atHome(path); path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// atHome resolves ~/, as a shell does on the command line. A slash at the end,
// by which a path means a directory, stays.
func atHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	home, err := os.UserHomeDir()
	if !ok || err != nil {
		return path
	}
	return strings.TrimSuffix(home, "/") + "/" + rest
}
