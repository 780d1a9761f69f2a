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

// Platform is the platform that an image runs on, with the values of GOOS and GOARCH, as the OCI
// specification has them (image-spec, image-index.md).
type Platform struct {
	OS           string // such as linux
	Architecture string // such as amd64, arm64 or arm
	Variant      string // such as v6 or v7 for arm; "" for the base variant of amd64 (v1) and arm64 (v8), and if there are no variants
}

// defaultVariant is the variant that an architecture means when none is given.
var defaultVariant = map[string]string{"arm": "v7"}

// baseLevel is the variant's number where the variant is "".
var baseLevel = map[string]int{"amd64": 1, "arm64": 8}

// platformWord keeps what a registry calls a platform safe to print and to put in a file name.
var platformWord = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// ParsePlatform reads OS/ARCH[/VARIANT], such as linux/arm/v7. It replaces other names of an architecture
// (x86_64, aarch64, armhf), and adds the variant v7 to arm.
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

// DefaultPlatform returns linux on this machine's architecture. On other systems, containers usually run in
// a virtual machine with Linux.
func DefaultPlatform() Platform {
	return Platform{OS: "linux", Architecture: runtime.GOARCH}.normalize()
}

// All is the platform of an index that is kept with all its images.
var All = Platform{OS: "all"}

// String returns OS/ARCH[/VARIANT], or "all".
func (p Platform) String() string {
	if p == All {
		return p.OS
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normalize replaces other names of a platform with the usual one, as containerd/platforms does.
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

// rank returns how well p runs an image for q: 0 is not at all; otherwise a later variant, up to that of p,
// has a higher rank. An ARM v7 machine runs v6 too (containerd/platforms).
func (p Platform) rank(q Platform) int {
	if p == q {
		return math.MaxInt
	}
	if p.OS != q.OS || p.Architecture != q.Architecture || q.level() > p.level() {
		return 0
	}
	return q.level()
}

// level returns the number of the variant, or 0 if it has no number.
func (p Platform) level() int {
	if p.Variant == "" {
		return baseLevel[p.Architecture]
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(p.Variant, "v"))
	return max(n, 0)
}

// platformOf returns the platform that an index gives for a manifest, and whether it gives a valid one.
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

// ConfigPlatform returns the platform that a config gives, and whether it gives a valid one: configs of
// artifacts do not. A valid platform is safe to print and to use in a file name.
func ConfigPlatform(config []byte) (Platform, bool) {
	var says ocispec.Platform
	if json.Unmarshal(config, &says) != nil {
		return Platform{}, false
	}
	return platformOf(ocispec.Descriptor{Platform: &says})
}
