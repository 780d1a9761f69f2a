package image

import (
	"runtime"
	"strings"
	"testing"
)

func TestParsePlatform(t *testing.T) {
	tests := []struct {
		in   string
		want Platform
		str  string
	}{
		{"linux/amd64", Platform{"linux", "amd64", ""}, "linux/amd64"},
		{"Linux/x86_64", Platform{"linux", "amd64", ""}, "linux/amd64"},
		{"linux/amd64/v1", Platform{"linux", "amd64", ""}, "linux/amd64"},
		{"linux/amd64/v3", Platform{"linux", "amd64", "v3"}, "linux/amd64/v3"},
		{"linux/aarch64", Platform{"linux", "arm64", ""}, "linux/arm64"},
		{"linux/arm64/v8", Platform{"linux", "arm64", ""}, "linux/arm64"},
		{"linux/arm64/8", Platform{"linux", "arm64", ""}, "linux/arm64"},
		{"linux/arm", Platform{"linux", "arm", "v7"}, "linux/arm/v7"},
		{"linux/arm/6", Platform{"linux", "arm", "v6"}, "linux/arm/v6"},
		{"linux/armhf", Platform{"linux", "arm", "v7"}, "linux/arm/v7"},
		{"linux/armel", Platform{"linux", "arm", "v6"}, "linux/arm/v6"},
		{"linux/i386", Platform{"linux", "386", ""}, "linux/386"},
		{"windows/amd64", Platform{"windows", "amd64", ""}, "windows/amd64"},
		{"linux/s390x", Platform{"linux", "s390x", ""}, "linux/s390x"},
	}
	for _, tt := range tests {
		got, err := ParsePlatform(tt.in)
		if err != nil || got != tt.want || got.String() != tt.str {
			t.Errorf("%q: got %+v (%s), %v", tt.in, got, got, err)
		}
	}
}

func TestParsePlatformRefuses(t *testing.T) {
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x", "../etc", "li nux/amd64", "linux/\x1b[2J", "linux/" + strings.Repeat("a", 100)} {
		if got, err := ParsePlatform(in); err == nil || !strings.Contains(err.Error(), "platform") {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
	}
}

func TestDefaultPlatformIsLinuxHere(t *testing.T) {
	if p := DefaultPlatform(); p.OS != "linux" || p.Architecture != runtime.GOARCH {
		t.Errorf("got %s", p)
	}
}

func TestRankPrefersTheLatestVariantThatRuns(t *testing.T) {
	tests := []struct {
		wanted string
		best   []string // the best first
		never  []string
	}{
		{"linux/arm/v7", []string{"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}, []string{"linux/arm64", "linux/arm/v8", "windows/arm/v7"}},
		{"linux/amd64/v3", []string{"linux/amd64/v3", "linux/amd64/v2", "linux/amd64"}, []string{"linux/amd64/v4", "linux/386"}},
		{"linux/amd64", []string{"linux/amd64"}, []string{"linux/amd64/v2", "linux/arm64"}},
		{"linux/arm64", []string{"linux/arm64/v8"}, []string{"linux/arm64/v9", "linux/arm/v7"}},
		{"linux/riscv64", []string{"linux/riscv64"}, []string{"linux/riscv64/rva20u64"}},
	}
	for _, tt := range tests {
		p := mustPlatform(t, tt.wanted)
		for i, s := range tt.best {
			if r := p.rank(mustPlatform(t, s)); r <= 0 || i > 0 && r >= p.rank(mustPlatform(t, tt.best[i-1])) {
				t.Errorf("%s on %s: rank %d", s, tt.wanted, r)
			}
		}
		for _, s := range tt.never {
			if r := p.rank(mustPlatform(t, s)); r > 0 {
				t.Errorf("%s on %s: rank %d, want none", s, tt.wanted, r)
			}
		}
	}
}

func FuzzParsePlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm/v7", "linux/aarch64/v8", "linux/armhf", "a/b/c/d", "//", "linux/arm/-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlatform(s)
		if err != nil {
			return
		}
		if again, err := ParsePlatform(p.String()); err != nil || again != p {
			t.Errorf("%q: %+v reads back as %+v, %v", s, p, again, err)
		}
	})
}

func mustPlatform(t testing.TB, s string) Platform {
	t.Helper()
	p, err := ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
