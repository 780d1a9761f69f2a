package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// writeSums writes SHA256SUMS, which sha256sum -c reads.
func (r *release) writeSums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	r.sums = make(map[string]string)
	var text strings.Builder
	for _, e := range entries {
		body, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		r.sums[e.Name()] = hex.EncodeToString(sum[:])
		fmt.Fprintf(&text, "%s  %s\n", r.sums[e.Name()], e.Name())
	}
	return r.write("SHA256SUMS", []byte(text.String()), nil)
}

// recipes are the files by which package managers of users fetch the archives.
//
//go:embed recipes
var recipes embed.FS

// writeRecipes writes them. They name the archives of all targets.
func (r *release) writeRecipes() error {
	for _, t := range fields(allTargets) {
		if r.sums[r.archiveName(target(t))] == "" {
			fmt.Println("no files for Homebrew, Scoop and Arch: they need an archive for", t)
			return nil
		}
	}
	templates, err := template.New("").Funcs(template.FuncMap{
		"version": func() string { return r.version },
		"dir":     r.name,
		"url":     func(t target) string { return downloads + "v" + r.version + "/" + r.archiveName(t) },
		"sum":     func(t target) string { return r.sums[r.archiveName(t)] },
		// Arch's versions have no hyphens.
		"underscores": func(s string) string { return strings.ReplaceAll(s, "-", "_") },
	}).ParseFS(recipes, "recipes/*")
	if err != nil {
		return err
	}
	for _, recipe := range templates.Templates() {
		var text bytes.Buffer
		err := recipe.Execute(&text, nil)
		if err := r.write(recipe.Name(), text.Bytes(), err); err != nil {
			return err
		}
	}
	return nil
}

const downloads = "https://github.com/segpull/segpull/releases/download/"
