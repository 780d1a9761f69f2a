package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// Config is the user's configuration file, which docs/configuration.md describes:
// a default for each flag, and the mirrors that the user added. The zero value is
// that of an absent file.
type Config struct {
	// Mirrors are the names of the mirrors to use if a pull names none, each for
	// the registries that it mirrors; the image's own registry is the last source.
	// Empty: all tables in Mirror, in the order of the file.
	Mirrors []string `toml:"mirrors"`

	// Engines has the mirrors of container engines, which follow those above. nil: none.
	// A caller sets it, see [FindEngines].
	Engines *Engines `toml:"-"`

	// These are the defaults of the flags with the same names. Zero values are
	// the defaults of the command.

	// Output is a path. LoadConfig replaces ~/ at its start.
	Output   string `toml:"output"`
	Format   string `toml:"format"`
	Platform string `toml:"platform"`
	// LimitRate is the limit for all traffic together.
	LimitRate Timetable `toml:"limit-rate"`
	// GiveUpAfter is how long a pull continues without a byte.
	GiveUpAfter Duration `toml:"give-up-after"`
	// NoRace says whether to fetch nothing twice to save time.
	NoRace bool `toml:"no-race"`
	// Connections is the most connections to one mirror.
	Connections int `toml:"connections"`
	// SegmentSize is the number of bytes of a request.
	SegmentSize Size   `toml:"segment-size"`
	Progress    string `toml:"progress"` // auto, bar, plain, json or none
	// MirrorsFrom says where mirrors come from, as for FindEngines. LoadConfig resolves
	// paths relative to the configuration file.
	MirrorsFrom []string `toml:"mirrors-from"`
	// Authfile is the only file to read logins from. Empty: the files of docker
	// and podman. LoadConfig resolves paths relative to the configuration file.
	Authfile string `toml:"authfile"`
	// CacheDir is the directory of the cache of blobs; empty: none. LoadConfig
	// resolves it like Authfile.
	CacheDir string `toml:"cache-dir"`
	// CacheSize is the number of bytes above which the cache evicts images.
	CacheSize Size `toml:"cache-size"`
	// Cache is a bucket of S3 that several caches share, s3://BUCKET[/PREFIX]
	// [?endpoint=URL&region=NAME], see package bucket; empty: none. It is used with a
	// CacheDir.
	Cache string `toml:"cache"`
	// Lang is the language of messages for people: en or zh. Empty: that of the locale.
	Lang string `toml:"lang"`
	// InsecureRegistries are the registries to ask by HTTP if their port does not
	// speak TLS: host, host:port, or a network such as 10.0.0.0/8. Registries on
	// loopback always are.
	InsecureRegistries []string `toml:"insecure-registries"`
	Quiet              bool     `toml:"quiet"`
	Verbose            bool     `toml:"verbose"`

	// Serve is the [serve] table.
	Serve Serve `toml:"serve"`

	// Mirror has the [mirror.NAME] tables by NAME.
	Mirror map[string]Mirror `toml:"mirror"`

	path  string   // where it was read from, for messages
	order []string // names of Mirror as the file has them
}

// Serve is the [serve] table: the defaults of the flags that only segpull serve has.
// Zero values are the defaults of the command.
type Serve struct {
	// Listen are host:port, or unix:PATH.
	Listen []string `toml:"listen"`
	// TagTTL is how long the digest of a tag is used without asking again; nil: not
	// given.
	TagTTL *Duration `toml:"tag-ttl"`
	// Offline says whether to serve only what the cache has.
	Offline bool `toml:"offline"`
	// VerifiedOnly says whether to send no byte of a blob before its digest is right.
	VerifiedOnly bool `toml:"verified-only"`
	// Metrics is an address for metrics, as in Listen; empty: none.
	Metrics string `toml:"metrics"`
	// Host are other names by which clients call the server.
	Host      []string `toml:"host"`
	LogFormat string   `toml:"log-format"` // text or json

	// TLSCert and TLSKey name PEM files with the server's certificate and its key, and
	// ClientCA one with the authorities of its clients' certificates. TokenFile has a
	// token in each line. LoadConfig resolves paths relative to the configuration file.
	TLSCert   string `toml:"tls-cert"`
	TLSKey    string `toml:"tls-key"`
	ClientCA  string `toml:"client-ca"`
	TokenFile string `toml:"token-file"`

	// Allow are the networks from which clients may connect. Empty: all.
	Allow []netip.Prefix `toml:"allow"`
	// Registries are the registries that may be served, of those that Server.Serves
	// allows otherwise. Empty: all of these.
	Registries []string `toml:"registries"`
	// MaxConnections is how many connections of clients are open at once, and
	// MaxConnectionsPerClient how many of one address. 0: no limit.
	MaxConnections          int `toml:"max-connections"`
	MaxConnectionsPerClient int `toml:"max-connections-per-client"`
	// SendRate is what all clients get together, and SendRatePerClient what one address
	// gets. 0: no limit.
	SendRate          Rate `toml:"send-rate"`
	SendRatePerClient Rate `toml:"send-rate-per-client"`
}

// Mirror is a [mirror.NAME] table. If NAME is a preset, the table changes the
// preset's fields; if it is a registry (docker.io, host:5000), the table has the
// settings for that registry itself.
type Mirror struct {
	// URL is http(s)://host[:port][/prefix]. Requests have the prefix after /v2/,
	// unless it has a part v2 itself: /repository/hub/v2 stays as it is. ID
	// replaces <id> in the URL, and the image's registry replaces <registry>.
	URL string `toml:"url"`
	// Registries are the registries that it mirrors; "*" means all. Empty:
	// docker.io, and any registry in a pull that names the mirror.
	Registries []string `toml:"registries"`
	// ID is the user's accelerator ID at a cloud that gives each user an address:
	// one label of a host name (RFC 1123).
	ID string `toml:"id"`
	// LimitRate is the limit for this mirror alone. 0: no limit.
	LimitRate Rate `toml:"limit-rate"`
	// Connections is the most connections to this mirror. 0: Config.Connections.
	Connections int `toml:"connections"`
	// CA names PEM files with certificates to trust in addition to the system's.
	// LoadConfig resolves paths relative to the configuration file.
	CA Paths `toml:"ca"`
	// ClientCert and ClientKey name PEM files with the certificate that the
	// mirror's host requires, and its key. LoadConfig resolves them like CA.
	ClientCert string `toml:"client-cert"`
	ClientKey  string `toml:"client-key"`
	// Headers are the header fields to send to this mirror's host with each
	// request.
	Headers map[string]string `toml:"headers"`
	// Proxy is the URL of a proxy (http, https, socks5 or socks5h), or "direct"
	// for none. Empty: that of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	Proxy string `toml:"proxy"`
	// NS adds ?ns=<registry> to each request, for mirrors that serve several
	// registries on one host, as containerd does (docs/hosts.md there). Default
	// false.
	NS *bool `toml:"ns"`
	// Tags says whether the mirror resolves tags; if not, it is asked only by
	// digest. Default: the value of TLSVerify.
	Tags *bool `toml:"tags"`
	// TLSVerify says whether to check the certificate of the mirror's host. If it
	// is false, neither that host nor one that it redirects to gets credentials;
	// the certificates of the latter are checked all the same. Default true.
	TLSVerify *bool `toml:"tls-verify"`
	// Private says whether a server may use this mirror's login, Authorization header
	// and client certificate for its own clients, see [Server]. Default false.
	Private bool `toml:"private"`
	// AllowInsecureStorage says whether to follow redirects of this mirror from
	// https to http. Default false.
	AllowInsecureStorage bool `toml:"allow-insecure-storage"`
	// AllowPrivateStorage says whether to follow redirects of this mirror from a
	// public address to one that is not public. Default false.
	AllowPrivateStorage bool `toml:"allow-private-storage"`
}

// Paths is a list of files. In TOML, a list with one file may be a string.
type Paths []string

// UnmarshalText takes the whole text as one path.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// ConfigPath returns $XDG_CONFIG_HOME/segpull/config.toml. If that variable is
// unset or relative, ~/.config takes its place (XDG Base Directory Specification
// 0.8). If that file does not exist, but /etc/segpull/config.toml does, ConfigPath
// returns the latter, except on Windows, where any user could write it. ConfigPath
// returns "" if there is neither that nor a home directory.
func ConfigPath() string {
	path := ""
	if dir, err := userConfigDir(); err == nil {
		path = filepath.Join(dir, "segpull", "config.toml")
	}
	if runtime.GOOS == "windows" {
		return path
	}
	return existing(path, "/etc/segpull/config.toml")
}

// existing returns the second path if only that exists, else the first.
func existing(first, second string) string {
	if _, err := os.Stat(first); absent(err) {
		if _, err := os.Stat(second); err == nil {
			return second
		}
	}
	return first
}

// LoadConfig reads the configuration file at path, of at most 1 MiB. If path is
// "", it reads the file at [ConfigPath], or returns the zero Config if that does
// not exist. An error about the content has one line for each mistake, as
// FILE:LINE:COLUMN: MESSAGE.
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

// absent reports whether a file does not exist: also if a part of its path is not a
// directory, as with HOME=/dev/null.
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
	c.MirrorsFrom = absoluteFrom(c.MirrorsFrom, filepath.Dir(path))
	c.Authfile = resolved(c.Authfile, filepath.Dir(path))
	c.CacheDir = resolved(c.CacheDir, filepath.Dir(path))
	for _, file := range []*string{&c.Serve.TLSCert, &c.Serve.TLSKey, &c.Serve.ClientCA, &c.Serve.TokenFile} {
		*file = resolved(*file, filepath.Dir(path))
	}
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
	refuse("cache-size", int64(c.CacheSize))
	refuse("serve.max-connections", int64(c.Serve.MaxConnections))
	refuse("serve.max-connections-per-client", int64(c.Serve.MaxConnectionsPerClient))
	refuse("serve.send-rate", int64(c.Serve.SendRate))
	refuse("serve.send-rate-per-client", int64(c.Serve.SendRatePerClient))
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

// Names returns the names by which a pull can call mirrors: those of the tables in the order
// of the file, then the presets that are in service.
func (c Config) Names() []string {
	names := c.mirrorNames()
	for _, name := range presetNames() {
		if _, ours := c.Mirror[name]; !ours {
			names = append(names, name)
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
