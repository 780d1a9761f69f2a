// Release builds the files of a release of segpull:
//
//	segpull_VERSION_OS_ARCH.tar.gz, .zip   the static binary, its documents and completions
//	segpull_VERSION_OS_ARCH.spdx.json      the modules in the binary, as SPDX 2.3
//	segpull_VERSION_linux_ARCH.deb, .rpm, .apk, .pkg.tar.zst
//	SHA256SUMS                             of all these
//	segpull.rb, segpull.json, PKGBUILD     for Homebrew, Scoop and Arch's user repository
//
// Run it in the root of a clone:
//
//	go run ./internal/release [-o dist] [-targets OS/ARCH,...] [-packages deb,...]
//	go run ./internal/release man > segpull.1
//
// The version is that which Go records in the binary: the tag of the commit, such as v1.2.3,
// or else a pseudo-version. Everything has the time of the commit, so that the same commit
// gives the same bytes with the same version of Go, wherever the clone is.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	allTargets   = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
	allPackagers = "deb,rpm,apk,archlinux"
)

func main() {
	out := flag.String("o", "dist", "the `directory` for the files; it must not exist")
	targets := flag.String("targets", allTargets, "what to build for: `OS/ARCH,...`")
	packagers := flag.String("packages", allPackagers, "the packages for Linux: `FORMAT,...`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, flag.Arg(0), *out, fields(*targets), fields(*packagers))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// fields returns the elements of a list with commas.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, verb, out string, targets, packagers []string) error {
	work, err := os.MkdirTemp("", "segpull-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	host, err := build(ctx, target(runtime.GOOS+"/"+runtime.GOARCH), work)
	if err != nil {
		return err
	}
	documents, err := host.documents(ctx)
	if err != nil {
		return err
	}
	if verb == "man" {
		_, err := os.Stdout.Write(documents["segpull.1"])
		return err
	}
	if verb != "" {
		return fmt.Errorf("unknown argument %q; the only one is man", verb)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	r := &release{out: out, work: work, version: host.version(), packagers: packagers, documents: documents}
	for _, t := range targets {
		if err := r.add(ctx, target(t)); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	if err := r.writeSums(); err != nil {
		return err
	}
	return r.writeRecipes()
}

// release is a release that is being built.
type release struct {
	out, work string // directories
	version   string // such as 1.2.3
	packagers []string
	documents files
	sums      map[string]string // SHA-256 by the name of the file
}

// add builds everything for a target.
func (r *release) add(ctx context.Context, t target) error {
	fmt.Println(t)
	b, err := build(ctx, t, r.work)
	if err != nil {
		return err
	}
	licenses, err := b.licenses(ctx)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	content := files{t.program(): program, "THIRD-PARTY-LICENSES": licenses}
	for name, text := range r.documents {
		content[name] = text
	}
	name := r.name(t)
	archive, err := t.archive(name, content, b.time())
	if err := r.write(r.archiveName(t), archive, err); err != nil {
		return err
	}
	modules, err := sbom(name, b.info, b.time())
	if err := r.write(name+".spdx.json", modules, err); err != nil {
		return err
	}
	if t.os() != "linux" {
		return nil
	}
	for _, packager := range r.packagers {
		if err := r.pack(ctx, packager, t, content, b.time()); err != nil {
			return err
		}
	}
	return nil
}

// name is the beginning of the names of a target's files.
func (r *release) name(t target) string {
	return fmt.Sprintf("segpull_%s_%s_%s", r.version, t.os(), t.arch())
}

func (r *release) archiveName(t target) string {
	if t.os() == "windows" {
		return r.name(t) + ".zip"
	}
	return r.name(t) + ".tar.gz"
}

// write writes a file of the release, unless there was an error.
func (r *release) write(name string, text []byte, failed error) error {
	if failed != nil {
		return failed
	}
	return os.WriteFile(filepath.Join(r.out, name), text, 0o644)
}

// files are the contents of files by their names.
type files map[string][]byte

func (f files) names() []string { return slices.Sorted(maps.Keys(f)) }
