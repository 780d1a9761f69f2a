package sources

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const everyKey = `
mirrors = ["corp", "aliyun"]
output = "images"
format = "oci"
platform = "linux/arm64"
limit-rate = "2M"
give-up-after = "90s"
connections = 8
segment-size = "1MiB"
no-race = true
progress = "plain"
cache-dir = "blobs"
cache-size = "5GiB"
quiet = true
verbose = true

[serve]
listen = ["127.0.0.1:5051", "unix:/run/segpull"]
tag-ttl = "0"
offline = true
verified-only = true
metrics = "127.0.0.1:5052"
host = ["cache.corp"]
log-format = "json"

[mirror.corp]
url = "https://harbor.corp/dockerhub"
registries = ["docker.io"]
limit-rate = 500000
connections = 4
ca = "corp.pem"
headers = { X-Team = "a" }
proxy = "direct"
ns = true
tags = false
tls-verify = false

[mirror.aliyun]
id = "abc123"
ca = ["/etc/a.pem", "~/b.pem"]
`

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigHasADefaultForEveryFlag(t *testing.T) {
	dir := t.TempDir()
	got, err := LoadConfig(write(t, filepath.Join(dir, "c.toml"), everyKey))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	home, _ := os.UserHomeDir()
	want := Config{
		Mirrors: []string{"corp", "aliyun"}, Output: "images", Format: "oci", Platform: "linux/arm64",
		LimitRate: Constant(2 << 20), GiveUpAfter: Duration{90 * time.Second}, NoRace: true, Connections: 8, SegmentSize: 1 << 20, Progress: "plain", Quiet: true, Verbose: true,
		CacheDir: filepath.Join(dir, "blobs"), CacheSize: 5 << 30,
		Serve: Serve{
			Listen: []string{"127.0.0.1:5051", "unix:/run/segpull"}, TagTTL: &Duration{}, Offline: true, VerifiedOnly: true,
			Metrics: "127.0.0.1:5052", Host: []string{"cache.corp"}, LogFormat: "json",
		},
		Mirror: map[string]Mirror{
			"corp": {
				URL: "https://harbor.corp/dockerhub", Registries: []string{"docker.io"},
				LimitRate: 500000, Connections: 4, CA: Paths{filepath.Join(dir, "corp.pem")},
				Headers: map[string]string{"X-Team": "a"}, Proxy: "direct", NS: &yes, Tags: &no, TLSVerify: &no,
			},
			"aliyun": {ID: "abc123", CA: Paths{"/etc/a.pem", filepath.Join(home, "b.pem")}},
		},
		path: filepath.Join(dir, "c.toml"), order: []string{"corp", "aliyun"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigErrorsSayWhere(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "connection = 4", "c.toml:1:1: unknown key connection; known are mirrors, "},
		{"unknown key of a mirror", "[mirror.a]\n  uri = 'x'", "c.toml:2:3: unknown key mirror.a.uri; known are url, "},
		{"unknown key of serve", "[serve]\n  port = 1", "c.toml:2:3: unknown key serve.port; known are listen, tag-ttl, "},
		{"not a value of serve", "[serve]\nlisten = '127.0.0.1:1'", "c.toml:2:10: serve.listen: expected a list of strings"},
		{"not a time of serve", "[serve]\ntag-ttl = [1]", "c.toml:2:11: serve.tag-ttl: expected a time such as"},
		{"several", "a = 1\n\nb = 2", "c.toml:1:1: unknown key a; known"},
		{"several, the last", "a = 1\n\nb = 2", "\nFILE:3:1: unknown key b; known"},
		{"unknown table", "[mirors.a]\nurl = 'x'", "c.toml:1:2: unknown key mirors.a"},
		{"syntax", "format = oci", "c.toml:1:10: "},
		{"twice", "quiet = true\nquiet = true", "c.toml:2:1: "},
		{"wrong type", "quiet = 'yes'", "c.toml:1:9: quiet: expected true or false"},
		{"not a list", "mirrors = 'a'", "c.toml:1:11: mirrors: expected a list of strings"},
		{"not a list of strings", "mirrors = ['a', 1]", "c.toml:1:17: mirrors: expected a list of strings"},
		{"not a number", "connections = '4'", "c.toml:1:15: connections: expected a whole number"},
		{"not a rate", "limit-rate = [1]", `c.toml:1:14: limit-rate: expected a rate such as "2M"`},
		{"not a value of a mirror", "[mirror.a]\ntags = 'no'", "c.toml:2:8: mirror.a.tags: expected true or false"},
		{"not a header", "[mirror.a.headers]\nX = 5", "c.toml:2:5: mirror.a.headers.X: expected a string"},
		{"not a table", "mirror = 5", "c.toml:1:10: mirror: expected tables named [mirror.NAME]"},
		{"not a table of a mirror", "mirror.a = 5", "c.toml:1:12: mirror.a: expected a table"},
		{"a table in place of a value", "[quiet]\nx = 1", "c.toml:1:2: quiet: expected true or false"},
		{"a key below a value", "quiet.x = 1", "c.toml:1:7: quiet: expected true or false"},
		{"bits", "limit-rate = '5Mb'", `c.toml:1:14: rate "5Mb": unit "Mb" may mean bits`},
		{"negative", "limit-rate = -5", `c.toml: rate "-5": not a number of bytes; write bytes a second as 500K, 2M, 4MiB, 1.5MB, or unlimited`},
		{"a time without a unit", "give-up-after = 90", `c.toml: time "90": write it with its unit, as in "90s"`},
		{"a negative time", "give-up-after = '-5s'", `c.toml:1:17: time "-5s": write it`},
		{"a negative size of the cache", "cache-size = -1", "c.toml: cache-size = -1 must not be negative"},
		{"negative in a mirror", "[mirror.a]\nconnections = -1", "c.toml: mirror.a.connections = -1 must not be negative"},
		{"too large", "#" + strings.Repeat(" ", maxConfig), "c.toml: the file is larger than 1MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "c.toml"), test.text)
			_, err := LoadConfig(path)
			if want := strings.ReplaceAll(test.want, "FILE", path); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestConfigSaysWhatEachKeyExpects(t *testing.T) {
	for _, table := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Serve](), reflect.TypeFor[Mirror]()} {
		for f := range table.Fields() {
			if key := f.Tag.Get("toml"); key != "" && key != "-" && expected[f.Type] == "" {
				t.Errorf("no words for %s, a %v", f.Name, f.Type)
			}
		}
	}
}

func TestConfigMayBeginWithAByteOrderMark(t *testing.T) {
	if c, err := parseConfig([]byte("\uFEFFformat = 'oci'"), "c.toml"); err != nil || c.Format != "oci" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestConfigIsLookedForInXDGConfigHome(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	c, err := LoadConfig("")
	if err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("without a file: %+v, %v", c, err)
	}
	write(t, filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "segpull", "config.toml"), "format = 'oci'")
	if c, err := LoadConfig(""); err != nil || c.Format != "oci" {
		t.Errorf("with a file: %+v, %v", c, err)
	}
	t.Setenv("XDG_CONFIG_HOME", "relative")
	home, _ := os.UserHomeDir()
	if got := ConfigPath(); got != filepath.Join(home, ".config/segpull/config.toml") {
		t.Errorf("with a relative XDG_CONFIG_HOME: %s", got)
	}
	t.Setenv("HOME", write(t, filepath.Join(t.TempDir(), "file"), ""))
	if c, err := LoadConfig(""); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("with a home that is not a directory: %+v, %v", c, err)
	}
	t.Setenv("HOME", "")
	if c, err := LoadConfig(""); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("without a home: %+v, %v", c, err)
	}
}

func TestConfigOfTheMachineIsForUsersWithoutOne(t *testing.T) {
	dir := t.TempDir()
	user, machine := filepath.Join(dir, "user", "config.toml"), filepath.Join(dir, "etc", "config.toml")
	if got := existing(user, machine); got != user {
		t.Errorf("with neither: %s", got)
	}
	write(t, machine, "")
	if got := existing(user, machine); got != machine {
		t.Errorf("with that of the machine: %s", got)
	}
	if got := existing("", machine); got != machine {
		t.Errorf("without a home: %s", got)
	}
	write(t, user, "")
	if got := existing(user, machine); got != user {
		t.Errorf("with both: %s", got)
	}
}

// What packages install in /etc/segpull changes nothing, and is valid where # is removed.
func TestConfigOfPackagesIsValid(t *testing.T) {
	text, err := os.ReadFile("../deploy/package/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := parseConfig(text, ""); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("as installed: %+v, %v", c, err)
	}
	set := regexp.MustCompile(`(?m)^#(\S)`).ReplaceAll(text, []byte("$1"))
	if c, err := parseConfig(set, ""); err != nil || c.CacheSize == 0 || c.Serve.TagTTL == nil || c.Mirror["office"].URL == "" {
		t.Errorf("with all values: %+v, %v", c, err)
	}
}

func TestConfigMeansHomeByATilde(t *testing.T) {
	t.Setenv("HOME", "/home/a")
	for output, want := range map[string]string{
		"~/images/": "/home/a/images/", "~/": "/home/a/", "~/a.tar": "/home/a/a.tar",
		"images/": "images/", "~b/c": "~b/c", "-": "-", "": "",
	} {
		c, err := parseConfig([]byte("output = '"+output+"'"), "c.toml")
		if err != nil || c.Output != want {
			t.Errorf("%q is %q, %v; want %q", output, c.Output, err, want)
		}
	}
}

func TestConfigThatIsNamedMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	if _, err := LoadConfig(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestConfigKeepsTheOrderOfMirrors(t *testing.T) {
	c, err := parseConfig([]byte("[mirror.z]\nurl='x'\n[mirror.a.headers]\nb='c'\n[mirror.'m.n']\nurl='y'\n[mirror.a]\nurl='w'"), "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.mirrorNames(); !slices.Equal(got, []string{"z", "a", "m.n"}) {
		t.Errorf("in a file: %q", got)
	}
	c = Config{Mirror: map[string]Mirror{"z": {}, "a": {}}}
	if got := c.mirrorNames(); !slices.Equal(got, []string{"a", "z"}) {
		t.Errorf("made by hand: %q", got)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte("a = 1\n[mirror.a]\nb = 2"))
	f.Add([]byte("mirror = { a = { ca = ['x'] } }"))
	f.Add([]byte("limit-rate = 1.5\n[[mirror]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data, "c.toml")
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "c.toml:") {
					t.Fatalf("%q names no file", line)
				}
			}
			return
		}
		for name := range c.Mirror {
			if !slices.Contains(c.mirrorNames(), name) {
				t.Fatalf("mirror %q is lost", name)
			}
		}
		for _, registry := range []string{dockerHub, "localhost:5000"} {
			found, _, _ := namingOf(c, registry).choose(nil)
			for _, e := range found {
				if e.url.Host == "" || e.url.User != nil {
					t.Fatalf("mirror %q is at %v", e.name, e.url)
				}
			}
		}
	})
}
