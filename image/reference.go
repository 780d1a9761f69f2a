package image

import (
	"cmp"
	_ "crypto/sha256" // go-digest finds its algorithm by registration.
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

const (
	// maxReference is above what a host name (253), a repository (255), a tag (128) and a digest need.
	maxReference = 1024

	// maxFileName leaves room for suffixes in the 255 bytes that file systems allow a name.
	maxFileName = 200

	// hashDigits are enough hexadecimal digits of a SHA-256 to distinguish images by eye.
	hashDigits = 12
)

// Reference is the name of an image, from [ParseReference]. It has a tag, a digest or both.
type Reference struct {
	Registry   string        // host[:port], such as docker.io or localhost:5000
	Repository string        // such as library/ubuntu
	Tag        string        // such as 22.04; "" if the reference has only a digest
	Digest     digest.Digest // "" if the reference has only a tag; otherwise the digest decides, not the tag
}

// ParseReference reads [HOST[:PORT]/]NAME[:TAG][@DIGEST] as Docker does: without a host, the registry is
// docker.io; a name there without a slash is in library/; without a tag and a digest, the tag is latest. The
// digest has to be a SHA-256. ParseReference accepts at most 1,024 bytes.
func ParseReference(s string) (Reference, error) {
	r, err := parse("image reference", "[HOST/]NAME[:TAG][@sha256:DIGEST]", s)
	if err == nil && r.Tag == "" && r.Digest == "" {
		r.Tag = latest
	}
	return r, err
}

// ParseName reads [HOST[:PORT]/]NAME[:TAG], a name for the image of ref in an archive, as Docker does. Without
// a tag it gets the tag of ref, or else latest. A name with a digest is an error, since the archive of an
// image may have another digest.
func ParseName(s string, ref Reference) (Reference, error) {
	r, err := parseName(s, ref)
	r.Tag = cmp.Or(r.Tag, latest)
	return r, err
}

// ParseTarget reads [HOST[:PORT]/]NAME[:TAG], where the image of ref is pushed to. If s ends in a slash, it is
// a registry and perhaps a prefix, HOST[:PORT]/[PREFIX/], before the repository of ref. Without a tag it gets the tag of
// ref, or none if ref has only a digest. A digest is an error.
func ParseTarget(s string, ref Reference) (Reference, error) {
	if prefix, ok := strings.CutSuffix(s, "/"); ok {
		if !strings.ContainsAny(strings.SplitN(prefix, "/", 2)[0], ".:") && prefix != "localhost" && !strings.HasPrefix(prefix, "localhost/") {
			return Reference{}, fmt.Errorf("name %q: it does not begin with a registry; write HOST/[PREFIX/] or HOST/NAME[:TAG]", WithoutUser(s))
		}
		s = prefix + "/" + ref.Repository
	}
	return parseName(s, ref)
}

// WithoutUser returns what a user wrote for a reference or a name, with "…" in place of a user and a password
// before the host: no reference has them, and no message must show them. A password may have any characters.
func WithoutUser(s string) string {
	name, digest := s, ""
	if m := digestAtEnd.FindStringIndex(s); m != nil {
		name, digest = s[:m[0]], s[m[0]:]
	}
	at := strings.LastIndex(name, "@")
	if at < 0 || !strings.Contains(name[:at], ":") {
		return s
	}
	scheme, _, found := strings.Cut(name, "://")
	if found {
		scheme += "://"
	} else {
		scheme = ""
	}
	return scheme + "…" + name[at:] + digest
}

var digestAtEnd = regexp.MustCompile(`@[a-z0-9]+:[0-9a-fA-F]+$`)

func parseName(s string, ref Reference) (Reference, error) {
	r, err := parse("name", "[HOST/]NAME[:TAG]", s)
	if err == nil && r.Digest != "" {
		err = fmt.Errorf("name %q: a digest cannot be given to an image; write NAME[:TAG]", s)
	}
	r.Tag = cmp.Or(r.Tag, ref.Tag)
	return r, err
}

// latest is the tag that Docker takes where none is given.
const latest = "latest"

// parse reads a reference and adds no tag. Errors call it by what, and give its form.
func parse(what, form, s string) (Reference, error) {
	if len(s) > maxReference {
		return Reference{}, fmt.Errorf("%s of %d bytes is too long: at most %d are allowed", what, len(s), maxReference)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Reference{}, fmt.Errorf("%s %q has characters that cannot be printed", what, WithoutUser(s))
	}
	if strings.Contains(s, "://") {
		return Reference{}, fmt.Errorf("%s %q: leave out the scheme, write %s", what, WithoutUser(s), form)
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("%s %q: %w; write %s", what, WithoutUser(s), err, form)
	}
	if reference.Domain(named) == "" {
		// The parser takes "0_0.0/a" for a host, and then for none.
		return Reference{}, fmt.Errorf("%s %q: its host is invalid; write %s", what, WithoutUser(s), form)
	}
	r := Reference{Registry: reference.Domain(named), Repository: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		r.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		r.Digest = digested.Digest()
		if err := checkDigest(r.Digest); err != nil {
			return Reference{}, fmt.Errorf("%s %q: %w", what, WithoutUser(s), err)
		}
	}
	return r, nil
}

// Name returns the registry and the repository: docker.io/library/ubuntu.
func (r Reference) Name() string { return r.Registry + "/" + r.Repository }

// FamiliarName returns the name as Docker shows it, such as ubuntu or ghcr.io/a/b.
// It is the full name if the short one would mean another image: docker.io/0.0/b.
func (r Reference) FamiliarName() string {
	named, err := reference.WithName(r.Name())
	if err != nil {
		return r.Name() // not made by ParseReference; there is nothing to shorten
	}
	short := reference.FamiliarName(named)
	if back, err := reference.ParseNormalizedNamed(short); err != nil || back.Name() != r.Name() {
		return r.Name()
	}
	return short
}

// Familiar returns name and tag as docker load prints them, such as ubuntu:22.04, or "" without a tag.
func (r Reference) Familiar() string {
	if r.Tag == "" {
		return ""
	}
	return r.FamiliarName() + ":" + r.Tag
}

// Display returns the reference as the user would write it, such as ubuntu:22.04, or in full
// without a tag.
func (r Reference) Display() string {
	if name := r.Familiar(); name != "" {
		return name
	}
	return r.String()
}

// String returns the full reference, such as docker.io/library/ubuntu:22.04@sha256:….
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// onIPv6 reports whether the registry is an address of IPv6: [::1]:5000.
func (r Reference) onIPv6() bool { return strings.HasPrefix(r.Registry, "[") }

// device matches the names of devices on Windows, in every directory and with any extension
// (learn.microsoft.com/windows/win32/fileio/naming-a-file).
var device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])\.`)

// FileName returns a file name for the image on a platform, without an extension, such as
// ubuntu_22.04_linux_amd64. It has at most 200 bytes, which are ASCII letters, digits, '.', '_' and '-'; it
// starts with a letter or a digit, and is not the name of a device on Windows. References that differ only
// in their separators (a/b, a_b) have the same file name.
func (r Reference) FileName(p Platform) string {
	version := r.Tag
	if version == "" {
		version = strings.ReplaceAll(r.Digest.String(), ":", "-")
		version = version[:min(len(version), len("sha256-")+hashDigits)]
	}
	parts := []string{r.FamiliarName(), version, p.OS}
	if p != All {
		parts = append(parts, p.Architecture)
	}
	if p.Variant != defaultVariant[p.Architecture] {
		parts = append(parts, p.Variant)
	}
	name := strings.Map(fileRune, strings.Join(parts, "_"))
	name = cmp.Or(strings.TrimLeft(name, ".-_"), "image")
	if device.MatchString(name) { // the host con.example
		name = "image_" + name
	}
	if len(name) <= maxFileName {
		return name
	}
	return name[:maxFileName-1-hashDigits] + "_" + digest.FromString(name).Encoded()[:hashDigits]
}

func fileRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-':
		return r
	}
	return '_'
}

// checkDigest accepts only SHA-256: every registry serves it, and segpull hashes with nothing else.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %.100q: %w", d, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %.100q: only sha256 is supported", d)
	}
	return nil
}
