package image

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const someDigest = digest.Digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

func TestParseReferenceReadsAsDocker(t *testing.T) {
	tests := []struct {
		in       string
		want     Reference
		str      string
		familiar string
	}{
		{"ubuntu", Reference{"docker.io", "library/ubuntu", "latest", ""}, "docker.io/library/ubuntu:latest", "ubuntu:latest"},
		{"ubuntu:22.04", Reference{"docker.io", "library/ubuntu", "22.04", ""}, "docker.io/library/ubuntu:22.04", "ubuntu:22.04"},
		{"a/b", Reference{"docker.io", "a/b", "latest", ""}, "docker.io/a/b:latest", "a/b:latest"},
		{"docker.io/ubuntu", Reference{"docker.io", "library/ubuntu", "latest", ""}, "docker.io/library/ubuntu:latest", "ubuntu:latest"},
		{"index.docker.io/library/ubuntu:1", Reference{"docker.io", "library/ubuntu", "1", ""}, "docker.io/library/ubuntu:1", "ubuntu:1"},
		{"ghcr.io/a/b:1", Reference{"ghcr.io", "a/b", "1", ""}, "ghcr.io/a/b:1", "ghcr.io/a/b:1"},
		{"host:5000/a/b:c", Reference{"host:5000", "a/b", "c", ""}, "host:5000/a/b:c", "host:5000/a/b:c"},
		{"localhost/a", Reference{"localhost", "a", "latest", ""}, "localhost/a:latest", "localhost/a:latest"},
		{"[::1]:5000/a", Reference{"[::1]:5000", "a", "latest", ""}, "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
		{"ghcr.io/a/b@" + someDigest.String(), Reference{"ghcr.io", "a/b", "", someDigest}, "ghcr.io/a/b@" + someDigest.String(), ""},
		{"ubuntu:22.04@" + someDigest.String(), Reference{"docker.io", "library/ubuntu", "22.04", someDigest}, "docker.io/library/ubuntu:22.04@" + someDigest.String(), "ubuntu:22.04"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseReference(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.String() != tt.str || got.Familiar() != tt.familiar {
				t.Errorf("String %q, Familiar %q; want %q, %q", got.String(), got.Familiar(), tt.str, tt.familiar)
			}
			if again, err := ParseReference(got.String()); err != nil || again != got {
				t.Errorf("String does not read back: %+v, %v", again, err)
			}
		})
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	for in, shown := range map[string]string{
		"bob:SECRET@host.example/a":                        "…@host.example/a",
		"https://bob:SECRET@host.example/a:1":              "https://…@host.example/a:1",
		"bob:SE/CR@ET@host.example:5000/a":                 "…@host.example:5000/a",
		"bob:SECRET@host.example/a@" + someDigest.String(): "…@host.example/a@" + someDigest.String(),
		"host.example:5000/a:1@" + someDigest.String():     "host.example:5000/a:1@" + someDigest.String(),
		"host.example:5000/a:1":                            "host.example:5000/a:1",
		"a@b":                                              "a@b",
	} {
		if got := WithoutUser(in); got != shown {
			t.Errorf("%s is shown as %s, want %s", in, got, shown)
		}
		for _, parse := range []func(string) (Reference, error){
			ParseReference,
			func(s string) (Reference, error) { return ParseName(s, Reference{}) },
			func(s string) (Reference, error) { return ParseTarget(s+"/", Reference{Repository: "a"}) },
		} {
			if _, err := parse(in); shown != in && (err == nil || strings.Contains(err.Error(), "SE")) {
				t.Errorf("%s: %v", in, err)
			}
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	tests := []struct{ in, says string }{
		{"", "invalid reference"},
		{"UBUNTU", "lowercase"},
		{"https://ghcr.io/a/b", "leave out the scheme"},
		{"ubuntu:", "invalid reference"},
		{"ubuntu:two words", "invalid reference"},
		{"ubuntu@sha256:1234", "invalid reference"},
		{"ubuntu@sha512:" + strings.Repeat("0", 128), "digest"},
		{strings.Repeat("0", 64), "64-byte hexadecimal"},
		{"../etc/passwd", "invalid reference"},
		{"a/../../b", "invalid reference"},
		{"\x1b[2Jubuntu", `\x1b`},
		{strings.Repeat("a", 2000), "too long"},
		{strings.Repeat("a", 300), "255"},
	}
	for _, tt := range tests {
		got, err := ParseReference(tt.in)
		if err == nil {
			t.Errorf("%q: taken as %+v", tt.in, got)
			continue
		}
		if !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: error %q does not say %q in one clean line", tt.in, err, tt.says)
		}
	}
}

func TestParseName(t *testing.T) {
	by := "@sha256:" + strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ name, of, want string }{
		{"app", "ghcr.io/a/b:1", "docker.io/library/app:1"},
		{"app", "ghcr.io/a/b" + by, "docker.io/library/app:latest"},
		{"host:5000/x/y:2", "ghcr.io/a/b:1", "host:5000/x/y:2"},
		{"app:2", "ghcr.io/a/b:1" + by, "docker.io/library/app:2"},
		{"app" + by, "a/b", "a digest cannot be given"},
		{"App", "a/b", "name \"App\": invalid reference"},
		{"", "a/b", "name \"\": invalid reference"},
		{"https://x/y", "a/b", "name \"https://x/y\": leave out the scheme"},
	} {
		got, err := ParseName(tt.name, mustReference(t, tt.of))
		if err == nil && got.String() != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %s: %s, %v; want %s", tt.name, tt.of, got, err, tt.want)
		}
	}
}

func TestArchiveName(t *testing.T) {
	for ref, want := range map[string]string{
		"a/b:1": "docker.io/a/b:1", "a/b@" + someDigest.String(): "",
		"[::1]:5000/a/b:1": "", "[2001:db8::1]/a/b": "", "127.0.0.1:5000/a/b:1": "127.0.0.1:5000/a/b:1",
	} {
		img := Image{Reference: mustReference(t, ref)}
		if got := img.ArchiveName(); got != (Reference{}) && got.String() != want || got == (Reference{}) && want != "" {
			t.Errorf("%s: %s, want %q", ref, got, want)
		}
		if img.Name = mustReference(t, "x:2"); img.ArchiveName() != img.Name {
			t.Errorf("%s: given a name, it is called %s", ref, img.ArchiveName())
		}
	}
}

func TestFileName(t *testing.T) {
	amd64 := Platform{OS: "linux", Architecture: "amd64"}
	tests := []struct {
		ref      string
		platform Platform
		want     string
	}{
		{"ubuntu:22.04", amd64, "ubuntu_22.04_linux_amd64"},
		{"ghcr.io/a/b:1", amd64, "ghcr.io_a_b_1_linux_amd64"},
		{"localhost:5000/a/b:c", amd64, "localhost_5000_a_b_c_linux_amd64"},
		{"[::1]:5000/a:c", amd64, "1__5000_a_c_linux_amd64"},
		{"b@" + someDigest.String(), amd64, "b_sha256-0123456789ab_linux_amd64"},
		{"b:1@" + someDigest.String(), amd64, "b_1_linux_amd64"},
		{"b:1", Platform{"linux", "arm", "v7"}, "b_1_linux_arm"},
		{"b:1", Platform{"linux", "arm", "v6"}, "b_1_linux_arm_v6"},
		{"b:1", Platform{"linux", "arm64", ""}, "b_1_linux_arm64"},
		{"b:_.._.._", amd64, "b__.._..__linux_amd64"},
		{"con.example/b:1", amd64, "image_con.example_b_1_linux_amd64"},
		{"LPT9.example/b:1", amd64, "image_LPT9.example_b_1_linux_amd64"},
		{"con:1.2", amd64, "con_1.2_linux_amd64"},
	}
	for _, tt := range tests {
		if got := mustReference(t, tt.ref).FileName(tt.platform); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.ref, got, tt.want)
		}
	}
}

func TestFileNameOfLongReferencesStaysShortAndApart(t *testing.T) {
	long := strings.Repeat("a", 250)
	one := mustReference(t, "example.com/"+long+":1").FileName(DefaultPlatform())
	two := mustReference(t, "example.com/"+long+":2").FileName(DefaultPlatform())
	if one == two || len(one) > 200 || len(two) > 200 {
		t.Errorf("got %q and %q", one, two)
	}
}

func TestFileNameCannotLeaveItsDirectory(t *testing.T) {
	evil := []Reference{
		{Registry: "..", Repository: "../../etc/passwd", Tag: "../x"},
		{Registry: "/", Repository: "\\..\\", Digest: "../../.."},
		{Repository: "a\x00b\n", Tag: "*"},
	}
	for _, ref := range evil {
		name := ref.FileName(Platform{OS: "..", Architecture: "/", Variant: "../.."})
		if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsAny(name, "/\\\x00\n") {
			t.Errorf("%+v: file name %q", ref, name)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"ubuntu", "ubuntu:22.04", "ghcr.io/a/b@" + someDigest.String(), "host:5000/a/b:c", "[::1]:5000/a", "a/../b",
		"b:1@" + someDigest.String(), "LOCALHOST/a", "a__b/c--d:_", "a@sha512:0", "docker.io/library/a/b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		if again, err := ParseReference(ref.String()); err != nil || again != ref {
			t.Errorf("%q: %+v reads back as %+v, %v", s, ref, again, err)
		}
		if again, err := ParseReference(ref.Familiar()); ref.Tag != "" && (err != nil || again.Name() != ref.Name()) {
			t.Errorf("%q: the familiar name %q means %+v, %v", s, ref.Familiar(), again, err)
		}
		if name := ref.FileName(DefaultPlatform()); !filepath.IsLocal(name) || strings.Contains(name, "/") || len(name) > 200 || device.MatchString(name) {
			t.Errorf("%q: file name %q", s, name)
		}
	})
}

func mustReference(t testing.TB, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
