package soak

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDamage(t *testing.T) {
	for kind, want := range map[string]string{
		"flip": "0123\xcb\xca6789", "truncate": "0123", "grow": "0123456789\x00\x00", "garbage": "", "remove": "gone", "directory": "a directory", "link": "no run writes here",
	} {
		dir := t.TempDir()
		path, target := filepath.Join(dir, "part"), linkTarget(dir)
		for file, text := range map[string]string{path: "0123456789", target: linkTargetText} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := (damage{kind: kind, at: 0.4, length: 2}).apply(path, target); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		got := "gone"
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			got = "a directory"
		} else if text, err := os.ReadFile(path); err == nil {
			got = string(text)
		}
		if kind == "garbage" {
			want = string(noise(0, 2))
		}
		if got != want {
			t.Errorf("%s made %q, want %q", kind, got, want)
		}
		if err := (damage{kind: kind}).apply(filepath.Join(dir, "nothing"), target); err != nil {
			t.Errorf("%s of nothing: %v", kind, err)
		}
	}
}
