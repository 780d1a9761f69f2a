package image

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is what an image runs on, in the words of Go (GOOS, GOARCH) as the OCI specification has it.
type Platform struct {
	OS           string // linux
	Architecture string // amd64, arm64, arm
	Variant      string // v6, v7 for arm; "" where the architecture has one form or it is the usual one
}

// defaultVariant is the variant that an architecture means when none is given.
var defaultVariant = map[string]string{"arm": "v7"}

// baseLevel is the variant's number where the variant is "".
var baseLevel = map[string]int{"amd64": 1, "arm64": 8}

// platformWord keeps what a registry calls a platform safe to print and to put in a file name.
var platformWord = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// ParsePlatform reads OS/ARCH[/VARIANT], such as linux/arm/v7. Other names of an architecture (x86_64,
// aarch64, armhf) are understood.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return Platform{}, fmt.Errorf("platform %q: write OS/ARCH[/VARIANT], such as linux/amd64 or linux/arm/v7", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
		if p.Variant == "" {
			return Platform{}, fmt.Errorf("platform %q: the variant is empty; leave out the last slash", s)
		}
	}
	p = p.normalize()
	if !p.valid() {
		return Platform{}, fmt.Errorf("platform %q: write OS/ARCH[/VARIANT] in letters and digits, such as linux/amd64", s)
	}
	return p, nil
}

// DefaultPlatform returns linux on this machine's architecture: containers of other systems that run
// here run on Linux in a virtual machine.
func DefaultPlatform() Platform {
	return Platform{OS: "linux", Architecture: runtime.GOARCH}.normalize()
}

// String returns OS/ARCH[/VARIANT].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normalize brings the names in use to one, by the table of containerd/platforms.
func (p Platform) normalize() Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i686":
		p.Architecture, p.Variant = "386", ""
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if _, err := strconv.Atoi(p.Variant); err == nil {
		p.Variant = "v" + p.Variant
	}
	if p.Variant == "" {
		p.Variant = defaultVariant[p.Architecture]
	}
	if base, ok := baseLevel[p.Architecture]; ok && p.Variant == "v"+strconv.Itoa(base) {
		p.Variant = ""
	}
	return p
}

func (p Platform) valid() bool {
	return platformWord.MatchString(p.OS) && platformWord.MatchString(p.Architecture) &&
		(p.Variant == "" || platformWord.MatchString(p.Variant))
}

// rank says how well p runs an image made for q: 0 not at all, and else the better the later the
// variant, up to its own: an ARM v7 machine runs v6 too (containerd/platforms).
func (p Platform) rank(q Platform) int {
	if p == q {
		return math.MaxInt
	}
	if p.OS != q.OS || p.Architecture != q.Architecture || q.level() > p.level() {
		return 0
	}
	return q.level()
}

// level returns the number of the variant, 0 if it has none that could be compared.
func (p Platform) level() int {
	if p.Variant == "" {
		return baseLevel[p.Architecture]
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(p.Variant, "v"))
	return max(n, 0)
}

// platformOf returns the platform that an index gives for a manifest, false if it gives none of use.
func platformOf(d ocispec.Descriptor) (Platform, bool) {
	if d.Platform == nil {
		return Platform{}, false
	}
	p := Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant}.normalize()
	if !p.valid() {
		return Platform{}, false
	}
	return p, true
}

// ConfigPlatform returns the platform that an image's config gives, false if it gives none: an artifact's
// does not. The words of the config are safe to print and in file names.
func ConfigPlatform(config []byte) (Platform, bool) {
	var says ocispec.Platform
	if json.Unmarshal(config, &says) != nil {
		return Platform{}, false
	}
	return platformOf(ocispec.Descriptor{Platform: &says})
}
