package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCasesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCases() {
		if c.Name == "" || c.About == "" || len(c.Layers) == 0 || len(c.Mirrors) == 0 || seen[c.Name] {
			t.Errorf("case %q is incomplete, or there are two", c.Name)
		}
		seen[c.Name] = true
		if !c.TCP && c.Link.Down != 0 {
			t.Errorf("case %q: nothing simulates the user's link on loopback", c.Name)
		}
	}
	for _, name := range misbehaving {
		if !seen[name] {
			t.Errorf("no case %q", name)
		}
	}
}

func TestCases(t *testing.T) {
	for names, want := range map[string]string{
		"local dying": "local dying",
		"tcp-one-*":   "tcp-one-slow tcp-one-hangs",
		Networks:      "home 4g hotel satellite cross-border lan cdn local",
		Mirrors:       "uneven-3 dying stalling capped two-connections budget filling corrupt local",
	} {
		chosen, err := Cases(strings.Fields(names)...)
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, c := range chosen {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s selects %q, want %q", names, got, want)
		}
	}
	for _, name := range []string{"nowhere", "[", "tcp"} {
		if _, err := Cases(name); err == nil {
			t.Errorf("%q selects a case", name)
		}
	}
	if goals, _ := Cases(Goals); len(goals) != len(tasks)+1 || goals[len(tasks)].Name != Local {
		t.Errorf("%d cases have a goal, want %d and local", len(goals), len(tasks))
	}
}

func TestTools(t *testing.T) {
	chosen, err := Tools("curl", Segpull)
	if err != nil || len(chosen) != 2 || chosen[0].Name != "curl" || !chosen[1].Installed() {
		t.Errorf("Tools = %+v, %v", chosen, err)
	}
	if all, err := Tools(allTools); err != nil || len(all) != len(tools) {
		t.Errorf("%d tools are all, %v", len(all), err)
	}
	if _, err := Tools("wget"); err == nil {
		t.Error("wget is a tool")
	}
	cmd, err := chosen[1].With("--limit-rate", "5").command(job{program: "segpull"})
	if err != nil || !strings.HasSuffix(cmd.String(), " --limit-rate 5") {
		t.Errorf("the command is %s, %v", cmd, err)
	}
}

func TestOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old")
	if _, err := Other(path); err == nil {
		t.Error("a program that does not exist is another segpull")
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	other, err := Other(path)
	if err != nil || other.Name != Before || !other.archive {
		t.Errorf("Other = %+v, %v", other, err)
	}
	if found, err := other.find("this one"); err != nil || found != path {
		t.Errorf("it runs %s, %v; want %s", found, err, path)
	}
}

func TestVersion(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"aria2 version 1.36.0\\nCopyright 2006": "aria2 version 1.36.0",
		"VCSTag:     v0.11.7\\nVCSRef: unknown": "VCSTag: v0.11.7",
		"Docker version 28.2.2, build e6534b4":  "Docker version 28.2.2",
		"a program without a version":           "unknown",
	} {
		program := filepath.Join(dir, "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '"+text+"\\n'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := version(program); got != want {
			t.Errorf("version of %q is %q, want %q", text, got, want)
		}
	}
}
