package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// commit names the commit of the checkout, with "+" if files have changed since.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty=+").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine names the processors, the kernel and the Go release.
func machine() string {
	words := []string{fmt.Sprintf("%d × %s", runtime.NumCPU(), processor())}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		words = append(words, "Linux "+strings.TrimSpace(string(kernel)))
	}
	return strings.Join(append(words, runtime.Version()), ", ")
}

func processor() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
