package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/sources"
)

func checked(url string, change func(*segpull.MirrorCheck)) segpull.MirrorCheck {
	rate, latency, ranges := float64(3<<20), 0.0421, true
	_, name, _ := strings.Cut(url, "://")
	m := segpull.MirrorCheck{
		MirrorInfo: segpull.MirrorInfo{Name: name, URL: url, From: "containerd", Tags: true},
		Reachable:  true, Usable: true, Agrees: true, Digest: "sha256:0123456789abcdef",
		Ranges: &ranges, Latency: &latency, Rate: &rate, Auth: "none", TLS: "verified",
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestVerdicts(t *testing.T) {
	no := false
	for want, change := range map[string]func(*segpull.MirrorCheck){
		"good": nil,
		"good; 76 of 100 requests left for 6h00m": func(m *segpull.MirrorCheck) {
			m.Limits = &segpull.RequestLimits{Limit: 100, Remaining: 76, Period: 21600}
		},
		"good; 0 of 1 request left":                 func(m *segpull.MirrorCheck) { m.Limits = &segpull.RequestLimits{Limit: 1} },
		"good; by digest only: it resolves no tags": func(m *segpull.MirrorCheck) { m.Tags = false },
		"not usable: manifest https://m.example/sha256:111111111111: 503": func(m *segpull.MirrorCheck) {
			m.Usable, m.Error = false, "manifest https://m.example/"+testDigest("1")+": 503"
		},
		"good; its certificate is not checked":                            func(m *segpull.MirrorCheck) { m.TLS = "unverified" },
		"usable for whole layers only: it serves no ranges":               func(m *segpull.MirrorCheck) { m.Ranges = &no },
		"usable, but slow: no byte of a layer came in time":               func(m *segpull.MirrorCheck) { m.Ranges, m.Rate = nil, nil },
		"not usable: 401 Unauthorized":                                    func(m *segpull.MirrorCheck) { m.Usable, m.Error = false, "401 Unauthorized" },
		"unreachable: no answer in time":                                  func(m *segpull.MirrorCheck) { m.Reachable, m.Usable, m.Error = false, false, "no answer in time" },
		"good; it resolves the tag to another image, sha256:0123456789ab": func(m *segpull.MirrorCheck) { m.Agrees = false },
	} {
		if got := verdict(checked("https://a.example", change)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// The table fits 80 columns, also with what servers and long names bring.
func TestTheTableFits80Columns(t *testing.T) {
	text := testText([]segpull.MirrorCheck{
		checked("https://a.rather.long.name.of.a.mirror.example/with/a/prefix", nil),
		checked("https://b.example", func(m *segpull.MirrorCheck) {
			m.Reachable, m.Usable, m.Error = true, false, strings.Repeat("an answer with words ", 20)
			m.TLS, m.Auth = "unverified", "required"
		}),
	})
	for line := range strings.Lines(text) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(text, "..r.example/with/a/prefix verified   none     yes       42ms  3.0 MiB/s agrees\n") {
		t.Errorf("no row with the end of the name in\n%s", text)
	}
}

// What is worth writing is a configuration with the same mirrors, the fastest first.
func TestWorthWriting(t *testing.T) {
	fast, slow := 9e6, 1e6
	lines := worthWriting([]segpull.MirrorCheck{
		checked("https://slow.example", func(m *segpull.MirrorCheck) { m.Rate = &slow }),
		checked("https://digest.example/hub", func(m *segpull.MirrorCheck) { m.Tags, m.NS = false, true }),
		checked("http://fast.example:5000", func(m *segpull.MirrorCheck) { m.Rate, m.TLS = &fast, "none" }),
		checked("https://unsafe.example", func(m *segpull.MirrorCheck) { m.TLS, m.Rate = "unverified", nil }),
		checked("https://docker.m.daocloud.io", func(m *segpull.MirrorCheck) { m.Name, m.Rate = "daocloud", nil }),
		checked("https://other.example", func(m *segpull.MirrorCheck) { m.Agrees = false }),
		checked("https://dead.example", func(m *segpull.MirrorCheck) { m.Usable = false }),
		checked("https://registry-1.docker.io", func(m *segpull.MirrorCheck) { m.From = "registry" }),
	}, "docker.io")
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := sources.LoadConfig(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, lines)
	}
	list, err := segpull.Mirrors(segpull.MirrorsOptions{Config: c, Authfile: "none"}, "docker.io")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		word := m.URL
		if !m.Tags {
			word += " no-tags"
		}
		if m.NS {
			word += " ns"
		}
		got = append(got, word)
	}
	want := "http://fast.example:5000, https://digest.example/hub no-tags ns, https://slow.example, https://unsafe.example no-tags, https://docker.m.daocloud.io, https://registry-1.docker.io"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s\n%s", strings.Join(got, ", "), want, lines)
	}
	if lines := worthWriting(nil, "docker.io"); lines != "" {
		t.Errorf("of nothing: %q", lines)
	}
}
