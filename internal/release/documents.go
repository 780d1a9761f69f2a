package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segpull/segpull/internal/manual"
)

// completions are the files for each shell that has them.
var completions = map[string]string{
	"bash":       "completions/segpull.bash",
	"zsh":        "completions/_segpull",
	"fish":       "completions/segpull.fish",
	"powershell": "completions/segpull.ps1",
}

// documents returns what comes with the binary on every system: texts of the repository, and
// what the binary says about itself.
func (b built) documents(ctx context.Context) (files, error) {
	all := files{}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	for shell, name := range completions {
		script, err := output(ctx, b.path, "completion", shell)
		if err != nil {
			return nil, err
		}
		all[name] = script
	}
	page, err := b.manPage(ctx)
	all["segpull.1"] = []byte(page)
	return all, err
}

// manPage makes the man page of the help texts of segpull and its commands.
func (b built) manPage(ctx context.Context) (string, error) {
	own, err := output(ctx, b.path, "--help")
	if err != nil {
		return "", err
	}
	commands, err := output(ctx, b.path, "__complete", "") // a line each, then :4
	if err != nil {
		return "", err
	}
	var texts []string
	for line := range strings.Lines(string(commands)) {
		name, _, isCommand := strings.Cut(line, "\t")
		if !isCommand {
			continue
		}
		text, err := output(ctx, b.path, name, "--help")
		if err != nil {
			return "", err
		}
		if !bytes.Equal(text, own) { // that of pull
			texts = append(texts, string(text))
		}
	}
	return manual.Page(b.version(), b.time(), string(own), texts)
}

// licenses returns the licenses of Go and of all modules in the binary. Most of them require
// that their text comes with it.
func (b built) licenses(ctx context.Context) ([]byte, error) {
	root, err := output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	text.WriteString("segpull contains these modules, under their own licenses.\n")
	if err := addLicenses(&text, "Go "+b.info.GoVersion, strings.TrimSpace(string(root))); err != nil {
		return nil, err
	}
	for _, m := range b.info.Deps {
		dir, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", m.Path)
		if err != nil {
			return nil, err
		}
		if err := addLicenses(&text, m.Path+" "+m.Version, strings.TrimSpace(string(dir))); err != nil {
			return nil, err
		}
	}
	return []byte(text.String()), nil
}

// addLicenses adds the licenses in a directory.
func addLicenses(text *strings.Builder, module, dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	before := text.Len()
	for _, path := range found {
		name := strings.ToUpper(filepath.Base(path))
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "NOTICE") {
			continue
		}
		license, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(text, "\n%s\n%s, %s\n\n%s\n", strings.Repeat("-", 80), module, filepath.Base(path), bytes.TrimSpace(license))
	}
	if text.Len() == before {
		return errors.New("no license of " + module + " in " + dir)
	}
	return nil
}
