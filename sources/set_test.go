package sources

import (
	"errors"
	"strings"
	"testing"
)

func TestWithNoneLeftItFails(t *testing.T) {
	_, _, err := New(Config{}, NewLogins("", nil), []string{"aliyun", "163"}, Images{Registry: dockerHub})
	usage, ok := errors.AsType[*UsageError](err)
	if !ok || len(usage.Errs) != 2 || !strings.Contains(err.Error(), "aliyun: needs") || !strings.Contains(err.Error(), "; mirror 163: ") {
		t.Errorf("got %v", err)
	}
	set, reported, err := New(Config{}, NewLogins("", nil), []string{"aliyun", "docker.io"}, Images{Registry: dockerHub})
	if err != nil || len(reported) != 1 || len(set.Sources()) != 1 {
		t.Fatalf("got %v, %v, %v", set, reported, err)
	}
	defer set.Close()
	if _, ok := errors.AsType[*MirrorError](reported[0]); !ok {
		t.Errorf("reported %T", reported[0])
	}
}

func TestARegistryIsAHost(t *testing.T) {
	for registry, want := range map[string]string{
		"UPPER": `no usable mirror for images of UPPER: "UPPER" has upper-case letters`,
		"lower": `"lower" is not a host`,
		"":      `"" is not a host`,
	} {
		_, _, err := New(Config{}, NewLogins("", nil), []string{"https://a.example"}, Images{Registry: registry})
		if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", registry, err, want)
		}
	}
	for _, registry := range []string{"LOCALHOST", "GHCR.io", "UPPER:5000", "[::1]:5000", "0_0.0"} {
		set, _, err := New(Config{}, NewLogins("", nil), []string{"https://a.example"}, Images{Registry: registry})
		if err != nil {
			t.Errorf("%q: %v", registry, err)
			continue
		}
		set.Close()
	}
}

func TestLimitsAreThoseOfTheTable(t *testing.T) {
	cfg := Config{Mirror: map[string]Mirror{"m": {URL: "https://a.example", LimitRate: 1 << 20, Connections: 3}}}
	set := newSet(t, cfg, "m", "https://b.example/c")
	m, plain := set.Sources()[0], set.Sources()[1]
	if m.Name() != "m" || m.LimitRate() != 1<<20 || m.Connections() != 3 {
		t.Errorf("%s: %d, %d", m.Name(), m.LimitRate(), m.Connections())
	}
	if plain.Name() != "b.example/c" || plain.LimitRate() != 0 || plain.Connections() != 0 {
		t.Errorf("%s: %d, %d", plain.Name(), plain.LimitRate(), plain.Connections())
	}
}
