package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/segpull/segpull/bench/lab"
)

// Results are the runs of a comparison, with their circumstances.
type Results struct {
	Commit    string            `json:"commit"` // with "+" if files have changed since
	Date      string            `json:"date"`
	Machine   string            `json:"machine"`
	Settings  map[string]string `json:"settings"` // by tool
	Versions  map[string]string `json:"versions"` // by tool
	Summaries []Summary         `json:"summaries"`
	Runs      []lab.Run         `json:"runs"`
}

// NewResults adds the circumstances of now. tools has those that ran, and maybe
// others.
func NewResults(runs []lab.Run, tools []lab.Tool) Results {
	results := Results{
		Commit:    commit(),
		Date:      time.Now().UTC().Format(time.DateOnly),
		Machine:   machine(),
		Settings:  map[string]string{},
		Versions:  map[string]string{},
		Summaries: Summarize(runs),
		Runs:      runs,
	}
	for _, t := range tools {
		if !slices.ContainsFunc(runs, func(run lab.Run) bool { return run.Tool == t.Name }) {
			continue
		}
		results.Settings[t.Name] = t.Settings
		if v := t.Version(); v != "" {
			results.Versions[t.Name] = v
		}
	}
	return results
}

// Write writes results.md, results.json and time.svg into a directory.
func (r Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, "results.json"), r); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "time.svg"), []byte(timePicture(r.Summaries).SVG()), 0o644)
}

func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}
