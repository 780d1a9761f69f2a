package credentials

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// places returns the files that may hold logins, in the order in which they
// are asked. An authfile replaces all others.
func places(authfile string) []*file {
	if authfile != "" {
		return []*file{{path: authfile, advice: "correct the path, or run docker login or podman login first"}}
	}
	home, _ := os.UserHomeDir()
	var files []*file
	add := func(path, advice string) {
		if path != "" {
			files = append(files, &file{path: path, advice: advice})
		}
	}
	add(os.Getenv("REGISTRY_AUTH_FILE"), "correct or unset REGISTRY_AUTH_FILE")
	add(below(os.Getenv("DOCKER_CONFIG"), home, ".docker", "config.json"), "")
	add(runtimeFile(), "")
	add(below(os.Getenv("XDG_CONFIG_HOME"), home, ".config", "containers/auth.json"), "")
	return files
}

// runRoot has a directory for each user without a runtime directory, which root
// often lacks (containers-auth.json(5)).
var runRoot = "/run/containers"

// runtimeFile returns the file that podman login writes to.
func runtimeFile() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "containers/auth.json")
	}
	if runtime.GOOS != "linux" {
		return ""
	}
	return filepath.Join(runRoot, strconv.Itoa(os.Getuid()), "auth.json")
}

// below returns the path of a file in dir or, where that is empty, in
// home/otherwise. It returns "" where both dir and home are empty.
func below(dir, home, otherwise, name string) string {
	switch {
	case dir != "":
		return filepath.Join(dir, name)
	case home != "":
		return filepath.Join(home, otherwise, name)
	}
	return ""
}
