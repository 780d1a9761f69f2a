package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
)

var (
	commit  = time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	content = files{"segpull": []byte("binary"), "completions/_segpull": []byte("#compdef segpull"), "LICENSE": []byte("Apache")}
)

func TestArchives(t *testing.T) {
	for _, target := range []target{"linux/amd64", "windows/amd64"} {
		archive, err := target.archive("segpull_1", content, commit)
		if err != nil {
			t.Fatal(err)
		}
		again, err := target.archive("segpull_1", content, commit.In(time.FixedZone("east", 3600)))
		if err != nil || !bytes.Equal(archive, again) {
			t.Errorf("%s: the same files gave other bytes, %v", target, err)
		}
		list, want := untarred, "segpull_1/LICENSE 644\nsegpull_1/completions/_segpull 644\nsegpull_1/segpull 755\n"
		if target.os() == "windows" {
			list, want = unzipped, "segpull_1/LICENSE\nsegpull_1/completions/_segpull\nsegpull_1/segpull\n"
		}
		if got := list(t, archive); got != want {
			t.Errorf("%s has\n%s, want\n%s", target, got, want)
		}
	}
}

func untarred(t *testing.T, archive []byte) (list string) {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(plain)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || !h.ModTime.Equal(commit) || !bytes.Equal(text, content[strings.TrimPrefix(h.Name, "segpull_1/")]) {
			t.Errorf("%s: %v, %q, %v", h.Name, h.ModTime, text, err)
		}
		list += fmt.Sprintf("%s %o\n", h.Name, h.Mode)
	}
}

func unzipped(t *testing.T, archive []byte) (list string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		if !f.Modified.Equal(commit) {
			t.Errorf("%s: %v", f.Name, f.Modified)
		}
		list += f.Name + "\n"
	}
	return list
}

func TestSBOM(t *testing.T) {
	text, err := sbom("segpull_1.2.3_linux_amd64", &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "github.com/segpull/segpull", Version: "v1.2.3"},
		Deps:      []*debug.Module{{Path: "golang.org/x/net", Version: "v0.62.0", Sum: "h1:abc="}},
	}, commit)
	if err != nil {
		t.Fatal(err)
	}
	var d spdxDocument
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range d.Packages {
		got = append(got, p.ExternalRefs[0].Locator+" "+p.SourceInfo)
	}
	for _, r := range d.Relationships {
		got = append(got, r.Element+" "+r.Type+" "+r.Related)
	}
	const want = `pkg:golang/github.com/segpull/segpull@v1.2.3 
pkg:golang/stdlib@1.26.8 
pkg:golang/golang.org/x/net@v0.62.0 go.sum: h1:abc=
SPDXRef-DOCUMENT DESCRIBES SPDXRef-Package-0
SPDXRef-Package-0 DEPENDS_ON SPDXRef-Package-1
SPDXRef-Package-0 DEPENDS_ON SPDXRef-Package-2`
	if strings.Join(got, "\n") != want || d.CreationInfo.Created != "2026-11-26T08:00:00Z" {
		t.Errorf("got\n%s\n%s", strings.Join(got, "\n"), text)
	}
}

// Formula, manifest and PKGBUILD name each archive with its checksum, and shells and JSON
// read them.
func TestRecipes(t *testing.T) {
	needs.Programs(t, "bash")
	r := &release{out: t.TempDir(), version: "1.2.3-rc1"}
	for _, name := range fields(allTargets) {
		if err := r.write(r.archiveName(target(name)), []byte(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writeSums(); err != nil {
		t.Fatal(err)
	}
	if err := r.writeRecipes(); err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, name := range []string{"segpull.rb", "segpull.json", "PKGBUILD"} {
		text, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		if name == "segpull.json" && !json.Valid(text) {
			t.Errorf("no JSON:\n%s", text)
		}
	}
	for name, sum := range r.sums {
		if !strings.Contains(all, downloads+"v1.2.3-rc1/"+name) || !strings.Contains(all, sum) {
			t.Errorf("%s %s is missing in\n%s", sum, name, all)
		}
	}
	out, err := exec.CommandContext(t.Context(), "bash", "-euc", `. "$1"; echo "$pkgver ${#source_x86_64[@]} ${#sha256sums_aarch64}"`, "bash", filepath.Join(r.out, "PKGBUILD")).CombinedOutput()
	if err != nil || string(out) != "1.2.3_rc1 1 64\n" {
		t.Errorf("PKGBUILD: %s, %v", out, err)
	}
}

// A release for some targets has no recipes, which would name archives that are not there.
func TestRecipesNeedAllTargets(t *testing.T) {
	r := &release{out: t.TempDir(), version: "1.2.3"}
	if err := r.write(r.archiveName("linux/amd64"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.writeSums(); err != nil {
		t.Fatal(err)
	}
	if err := r.writeRecipes(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.out, "PKGBUILD")); err == nil {
		t.Error("there is a PKGBUILD without archives")
	}
}

func TestLicensesMustBeThere(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	if err := addLicenses(&text, "example.com/m v1", dir); err == nil {
		t.Error("a module without a license was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE.md"), []byte("MIT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := addLicenses(&text, "example.com/m v1", dir); err != nil || !strings.Contains(text.String(), "example.com/m v1, LICENSE.md\n\nMIT\n") {
		t.Errorf("%q, %v", &text, err)
	}
}

// The packages have what the documents say, and only the program is executable.
func TestInstalledFiles(t *testing.T) {
	for packager, zsh := range map[string]string{"deb": "vendor-completions", "rpm": "site-functions"} {
		list, err := unpack(t.TempDir(), installed(packager, content))
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range list {
			paths = append(paths, f.Path)
			if (f.Mode == "0755") != (f.Path == "/usr/bin/segpull") {
				t.Errorf("%s has mode %s", f.Path, f.Mode)
			}
		}
		if all := strings.Join(paths, " "); !strings.Contains(all, "/usr/share/zsh/"+zsh+"/_segpull") {
			t.Errorf("%s: %s", packager, all)
		}
	}
}
