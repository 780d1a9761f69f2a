package realtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

// greeting is what the images print when they run.
const greeting = "hello from the image"

const program = `package main

import "os"

func main() { os.Stdout.WriteString("` + greeting + `") }
`

// executable builds a program that needs nothing but a kernel.
var executable = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "segpull-real-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, exe := filepath.Join(dir, "main.go"), filepath.Join(dir, "app")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", exe, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(exe)
})

// newImage makes an image that greets when it is run.
func newImage(t *testing.T, opts registrytest.ImageOptions) registrytest.Image {
	t.Helper()
	var err error
	if opts.Binary, err = executable(); err != nil {
		t.Fatalf("build the image's program: %v", err)
	}
	return registrytest.NewImage(opts)
}

// newIndex is an index of an image of another architecture and img.
func newIndex(img registrytest.Image) registrytest.Image {
	architecture := "arm64"
	if runtime.GOARCH == architecture {
		architecture = "amd64"
	}
	other := registrytest.NewImage(registrytest.ImageOptions{
		Docker:   strings.Contains(img.Manifest.MediaType, "docker"),
		Platform: "linux/" + architecture,
	})
	return registrytest.NewIndex(other, img)
}
