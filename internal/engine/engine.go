// Package engine gives images to container engines on this machine, by their own
// commands: docker, nerdctl, podman, and ctr of containerd.
//
//	Find ─→ Engine ─→ Load    ─→ standard input of docker load, nerdctl load, ctr images import
//	                  LoadDir ─→ podman pull oci:DIR
//
// The commands read their own environment and configuration: DOCKER_HOST and contexts,
// CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE, CONTAINER_HOST and containers.conf. The
// package knows no archives: the caller writes them.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Auto is the name for Find that means the first engine that answers.
const Auto = "auto"

// probeTimeout is how long a command may take to say whether its engine answers.
const probeTimeout = 10 * time.Second

// Engine is a container engine that answers.
type Engine struct {
	kind kind
	path string // of the command
}

// kind is what one of the engines needs.
type kind struct {
	name    string
	program string
	probe   []string                 // arguments of a command that fails if the engine does not answer
	load    func(img Image) []string // arguments of the command that reads an archive; nil: it reads a directory
}

// kinds are the engines, in the order in which Find tries them.
var kinds = []kind{
	{"docker", "docker", []string{"version", "--format", "{{.Server.Version}}"}, func(Image) []string { return []string{"load"} }},
	{"nerdctl", "nerdctl", []string{"version"}, func(img Image) []string { return []string{"load", "--platform", img.Platform} }},
	{"podman", "podman", []string{"version"}, nil},
	{"containerd", "ctr", []string{"version"}, importArgs},
}

// importArgs are those of ctr. It drops an image without a name, unless it may name it
// by its digest.
func importArgs(img Image) []string {
	args := []string{"images", "import", "--platform", img.Platform}
	if img.Name == "" {
		args = append(args, "--digests", "--base-name", img.Repository)
	}
	return append(args, "-")
}

// Names are the names of engines that Find takes besides [Auto].
func Names() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// Find finds an engine by its name, and asks it whether it answers. With [Auto] it takes
// the first that does of docker, nerdctl, podman and containerd. The error says what is
// missing, and is the cause of ctx if that ends.
func Find(ctx context.Context, name string) (Engine, error) {
	var reasons []error
	for _, k := range kinds {
		if name != Auto && name != k.name {
			continue
		}
		e, err := k.find(ctx)
		if err == nil {
			return e, nil
		}
		if ctx.Err() != nil {
			return Engine{}, context.Cause(ctx)
		}
		reasons = append(reasons, err)
	}
	switch {
	case name == Auto:
		return Engine{}, fmt.Errorf("no container engine answers (%w): start one, or write a file with --output", errors.Join(reasons...))
	case len(reasons) == 0:
		return Engine{}, fmt.Errorf("engine %q is unknown; use one of %s", name, strings.Join(Names(), ", "))
	}
	return Engine{}, fmt.Errorf("%w: install or start it, or choose another engine with --load", reasons[0])
}

// IsName reports whether Find knows a name.
func IsName(name string) bool { return name == Auto || slices.Contains(Names(), name) }

func (k kind) find(ctx context.Context) (Engine, error) {
	path, err := exec.LookPath(k.program)
	if err != nil {
		return Engine{}, fmt.Errorf("%s: the program %s is not in the PATH", k.name, k.program)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, fmt.Errorf("no answer within %v", probeTimeout))
	defer cancel()
	e := Engine{k, path}
	if err := e.run(ctx, call{args: k.probe}); err != nil {
		return Engine{}, fmt.Errorf("%s does not answer: %w", k.name, err)
	}
	return e, nil
}

// Name returns the name of the engine: "docker", "nerdctl", "podman" or "containerd".
func (e Engine) Name() string { return e.kind.name }

// ReadsDir reports whether the engine takes images by LoadDir, not by Load.
func (e Engine) ReadsDir() bool { return e.kind.load == nil }
