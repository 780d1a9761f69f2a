package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Results is what a comparison found, and what is needed to judge it.
type Results struct {
	Commit    string            `json:"commit"` // with "+" if files were changed since
	Date      string            `json:"date"`
	Machine   string            `json:"machine"`
	Settings  map[string]string `json:"settings"` // by tool
	Versions  map[string]string `json:"versions"` // by tool
	Summaries []Summary         `json:"summaries"`
	Runs      []Run             `json:"runs"`
}

func newResults(runs []Run, with []Tool) Results {
	results := Results{
		Commit:    commit(),
		Date:      time.Now().UTC().Format(time.DateOnly),
		Machine:   machine(),
		Settings:  map[string]string{},
		Versions:  map[string]string{},
		Summaries: summarize(runs),
		Runs:      runs,
	}
	for _, t := range with {
		results.Settings[t.Name] = t.Settings
		if t.program != "" {
			results.Versions[t.Name] = version(t.program)
		}
	}
	return results
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty=+").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine says what ran this: processors, memory, kernel.
func machine() string {
	words := []string{fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"))}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		words = append(words, "Linux "+strings.TrimSpace(string(kernel)))
	}
	return strings.Join(append(words, runtime.Version()), ", ")
}

// field is the first value of a name in a file of "name : value" lines.
func field(path, name string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// version is what the program says of itself, up to the first number.
func version(program string) string {
	for _, ask := range []string{"--version", "version"} {
		out, err := exec.Command(program, ask).Output()
		if err != nil {
			continue
		}
		words := strings.Fields(string(out))
		for i, word := range words {
			if number := strings.TrimPrefix(word, "v"); number != "" && number[0] >= '0' && number[0] <= '9' {
				return strings.TrimRight(strings.Join(words[:i+1], " "), ",")
			}
		}
	}
	return "unknown"
}

func (r Results) writeJSON(path string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

// write puts the table, the numbers and the pictures into a folder.
func (r Results) write(dir string, about func(string) string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := r.writeJSON(filepath.Join(dir, "results.json")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.markdown(about)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "time.svg"), []byte(timePicture(r.Summaries, about).SVG()), 0o644)
}
