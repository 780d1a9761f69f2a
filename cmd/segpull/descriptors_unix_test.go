//go:build unix

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/segpull/segpull/internal/registrytest"
)

// With few descriptors a pull opens few connections. With even fewer, it fails with a
// message, and the same command continues when there are more. (The Go runtime itself
// needs six.)
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	registry := registrytest.New()
	registry.Push("library/app", "1", registrytest.NewImage(registrytest.ImageOptions{Platform: "linux/amd64", Layers: []int64{6 * mib, 2 * mib}}))
	mirror := registry.Mirror()
	for _, s := range []*registrytest.Server{registry, mirror} {
		s.ThrottleConnections(4 * mib) // so that many make the pull faster
	}
	pull := []string{"segpull", "-m", registry.Start(t), "-m", mirror.Start(t), "--platform", "linux/amd64", "-o", "app.tar", "app:1"}
	for _, most := range []int{8, 9, 10, 11, 12, 13, 14, 16, 24, 32, 48, 64} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			few := command(t)
			few.Path, few.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s", most, strings.Join(pull, " "))}
			said, err := few.CombinedOutput()
			if err == nil {
				return
			}
			if most >= 24 || !strings.Contains(string(said), "too many open files") {
				t.Errorf("with %d descriptors: %v\n%s", most, err, said)
			}
			again := exec.Command(pull[0], pull[1:]...)
			again.Dir, again.Env = few.Dir, few.Env
			if said, err := again.CombinedOutput(); err != nil {
				t.Errorf("the same command with more of them: %v\n%s", err, said)
			}
		})
	}
}
