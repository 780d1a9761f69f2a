package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed nfpm.yaml
var nfpmConfig string

var nfpmTemplate = template.Must(template.New("nfpm.yaml").Parse(nfpmConfig))

// packageSuffixes are the ends of the names of packages, by nfpm's names for the formats.
var packageSuffixes = map[string]string{"deb": ".deb", "rpm": ".rpm", "apk": ".apk", "archlinux": ".pkg.tar.zst"}

// packed is a file in a package.
type packed struct {
	Path, Source string // Source is a file on this machine
	Mode         string
	Config       bool // upgrades keep it as the administrator left it
}

// pack makes a package with a binary and its documents.
func (r *release) pack(ctx context.Context, packager string, t target, content files, modified time.Time) error {
	suffix := packageSuffixes[packager]
	if suffix == "" {
		return fmt.Errorf("%q is no format of packages: use %s", packager, allPackagers)
	}
	dir := filepath.Join(r.work, t.arch()+suffix)
	list, err := unpack(dir, installed(packager, content))
	if err != nil {
		return err
	}
	systemd := packager != "apk" // Alpine has another init
	if systemd {
		list = append(list,
			packed{"/usr/lib/systemd/system/segpull.service", "deploy/systemd/segpull.service", "0644", false},
			packed{"/usr/lib/systemd/system/segpull.socket", "deploy/systemd/segpull.socket", "0644", false})
	}
	list = append(list, packed{"/etc/segpull/config.toml", "deploy/package/config.toml", "0644", true})
	config := filepath.Join(dir, "nfpm.yaml")
	f, err := os.Create(config)
	if err != nil {
		return err
	}
	defer f.Close()
	err = nfpmTemplate.Execute(f, map[string]any{
		"Arch": t.arch(), "Version": r.version, "Time": modified.UTC().Format(time.RFC3339), "Files": list, "Systemd": systemd,
	})
	if err != nil {
		return err
	}
	_, err = output(ctx, "go", "tool", "-modfile=.ci/nfpm.mod", "nfpm", "package",
		"-f", config, "-p", packager, "-t", filepath.Join(r.out, r.name(t)+suffix))
	return err
}

// installed returns the files of a package by their paths.
func installed(packager string, content files) files {
	zsh := "/usr/share/zsh/site-functions/_segpull"
	if packager == "deb" {
		zsh = "/usr/share/zsh/vendor-completions/_segpull"
	}
	license := "segpull is under the Apache License, version 2.0. On Debian, its text is in\n/usr/share/common-licenses/Apache-2.0.\n\n"
	return files{
		"/usr/bin/segpull":                               content["segpull"],
		"/usr/share/man/man1/segpull.1.gz":               gzipped(content["segpull.1"]),
		"/usr/share/bash-completion/completions/segpull": content[completions["bash"]],
		zsh: content[completions["zsh"]],
		"/usr/share/fish/vendor_completions.d/segpull.fish": content[completions["fish"]],
		"/usr/share/doc/segpull/CHANGELOG.md":               content["CHANGELOG.md"],
		"/usr/share/doc/segpull/README.md":                  content["README.md"],
		"/usr/share/doc/segpull/copyright":                  append([]byte(license), content["THIRD-PARTY-LICENSES"]...),
	}
}

// unpack writes files below a directory, for nfpm to read.
func unpack(dir string, content files) (list []packed, err error) {
	for _, path := range content.names() {
		source := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(source, content[path], 0o644); err != nil {
			return nil, err
		}
		list = append(list, packed{Path: path, Source: source, Mode: fmt.Sprintf("%04o", mode(strings.TrimPrefix(path, "/usr/bin/")))})
	}
	return list, nil
}
