package hostconf

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
)

// Machine is where the files of engines are.
type Machine struct {
	// Root stands before the paths of the system. "" is the real root.
	Root string
	// Home is the user's directory, Config and Cache are $XDG_CONFIG_HOME and
	// $XDG_CACHE_HOME. "" leaves out what is below.
	Home, Config, Cache string
}

// ThisMachine returns the places of the user who runs the process, with the system's
// files below root.
func ThisMachine(root string) Machine {
	m := Machine{Root: root}
	m.Home, _ = os.UserHomeDir()
	m.Config, m.Cache = xdg("XDG_CONFIG_HOME", m.Home, ".config"), xdg("XDG_CACHE_HOME", m.Home, ".cache")
	return m
}

// xdg returns a directory of the XDG Base Directory Specification, which ignores
// relative ones.
func xdg(variable, home, otherwise string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, otherwise)
}

// system returns a path of the system.
func (m Machine) system(path string) string { return filepath.Join(cmp.Or(m.Root, "/"), path) }

// below returns a path in a directory, or nothing if there is no such directory.
func below(dir, path string) []string {
	if dir == "" {
		return nil
	}
	return []string{filepath.Join(dir, path)}
}

// firstOf returns the first of the files that exists, or "".
func firstOf(paths []string) string {
	for _, path := range paths {
		if exists(path) {
			return path
		}
	}
	return ""
}

// daemonFiles returns where daemon.json may be: of a rootless engine, of Docker Desktop,
// of the system, of the snap.
func (m Machine) daemonFiles() (paths []string) {
	paths = append(paths, below(m.Config, "docker/daemon.json")...)
	paths = append(paths, below(m.Home, ".docker/daemon.json")...)
	if runtime.GOOS == "windows" {
		return append(paths, below(os.Getenv("ProgramData"), `docker\config\daemon.json`)...)
	}
	return append(paths, m.system("etc/docker/daemon.json"), m.system("var/snap/docker/current/config/daemon.json"))
}

// containerdRoots returns where the directories of hosts may be: of rootless engines, as
// nerdctl has them, then those of the system's containerd, of dockerd, k3s and RKE2.
func (m Machine) containerdRoots() (roots []string) {
	roots = append(roots, below(m.Config, "containerd/certs.d")...)
	roots = append(roots, below(m.Config, "docker/certs.d")...)
	roots = append(roots, m.configPath()...)
	for _, path := range []string{
		"etc/containerd/certs.d", "etc/docker/certs.d",
		"var/lib/rancher/k3s/agent/etc/containerd/certs.d", "var/lib/rancher/rke2/agent/etc/containerd/certs.d",
	} {
		roots = append(roots, m.system(path))
	}
	return roots
}
