package credentials

import (
	"os"
	"path/filepath"
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
	add(below(os.Getenv("XDG_RUNTIME_DIR"), "", "", "containers/auth.json"), "")
	add(below(os.Getenv("XDG_CONFIG_HOME"), home, ".config", "containers/auth.json"), "")
	return files
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
