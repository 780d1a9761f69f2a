package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/segpull/segpull/bench/program"
	"github.com/segpull/segpull/internal/deploytest"
)

// Daemon is a server that runs as a process.
type Daemon struct {
	URL  string // http://host:port, or https
	PID  int
	Stop func()
}

// Registry is a docker-registry.
type Registry struct {
	Dir string // where it keeps what was pushed; for the configurations and logs of servers too
	// Redirect is the server to which it redirects requests for blobs,
	// scheme://host:port; "": it serves them itself.
	Redirect string
	// Upstream is the registry of which it is a pull-through cache, http://host:port;
	// "" where it has images of its own.
	Upstream string
}

// ServeRegistry runs Debian's docker-registry until it is stopped.
func ServeRegistry(at program.Place, r Registry) (Daemon, error) {
	address, err := program.FreeAddress(at)
	if err != nil {
		return Daemon{}, err
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, cache: {blobdescriptor: inmemory}}
http: {addr: %q}
`, r.Dir, address)
	if r.Redirect != "" {
		config += fmt.Sprintf("middleware: {storage: [{name: redirect, options: {baseurl: %q}}]}\n", r.Redirect)
	}
	if r.Upstream != "" {
		config += fmt.Sprintf("proxy: {remoteurl: %q}\n", r.Upstream)
	}
	path := filepath.Join(r.Dir, address+".yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return Daemon{}, err
	}
	pid, stop, err := program.Daemon(at, exec.Command("docker-registry", "serve", path), program.Listens(at, address))
	return Daemon{"http://" + address, pid, stop}, err
}

// SegpullServer is a `segpull serve`.
type SegpullServer struct {
	Program string // its path
	Dir     string // for its cache, and in the place of the user's home
	Mirrors []string
	Flags   []string // others
}

// ServeSegpull runs `segpull serve` until it is stopped.
func ServeSegpull(at program.Place, s SegpullServer) (Daemon, error) {
	address, err := program.FreeAddress(at)
	if err != nil {
		return Daemon{}, err
	}
	cmd := exec.Command(s.Program, "serve", "--listen", address, "--cache-dir", s.cache())
	for _, m := range s.Mirrors {
		cmd.Args = append(cmd.Args, "-m", m)
	}
	cmd.Args = append(cmd.Args, s.Flags...)
	cmd.Env = program.Environment(s.Dir)
	pid, stop, err := program.Daemon(at, cmd, program.Listens(at, address))
	return Daemon{"http://" + address, pid, stop}, err
}

func (s SegpullServer) cache() string { return filepath.Join(s.Dir, "cache") }

// Blobs is the directory of the blobs in its cache, which are files with the hex
// digits of their digests as names.
func (s SegpullServer) Blobs() string { return filepath.Join(s.cache(), "blobs", "sha256") }

// serveCDN runs an nginx that serves the registry's blobs with TLS.
func serveCDN(at program.Place, r Registry, certificate authority) (Daemon, error) {
	return serveNginx(at, r.Dir, "https", func(address, dir string) (string, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("server { listen %s ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; root %s; }", address, r.Dir), certificate.issue(host, dir)
	})
}

// ServeFiles runs an nginx, of one process, that serves the files of a directory.
// Its own files go to another.
func ServeFiles(at program.Place, files, dir string) (Daemon, error) {
	return serveNginx(at, dir, "http", func(address, _ string) (string, error) {
		return fmt.Sprintf("server { listen %s; root %s; }", address, files), nil
	})
}

// ServeBalancer runs an nginx, of one process, before several `segpull serve`, at
// host:port each. config is that in deploy/nginx/segpull.conf. nginx's own files go to dir.
func ServeBalancer(at program.Place, config string, origins []string, dir string) (Daemon, error) {
	return serveNginx(at, dir, "http", func(address, _ string) (string, error) {
		return deploytest.Nginx(config, address, origins)
	})
}

// serveNginx runs an nginx. server makes the servers of its configuration, of which one
// listens on address.
func serveNginx(at program.Place, parent, scheme string, server func(address, dir string) (string, error)) (Daemon, error) {
	address, err := program.FreeAddress(at)
	if err != nil {
		return Daemon{}, err
	}
	dir, err := os.MkdirTemp(parent, "nginx-")
	if err != nil {
		return Daemon{}, err
	}
	servers, err := server(address, dir)
	if err != nil {
		return Daemon{}, err
	}
	config := fmt.Sprintf(nginxConfig, dir, servers)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		return Daemon{}, err
	}
	nginx := exec.Command("nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", "nginx.conf")
	pid, stop, err := program.Daemon(at, nginx, program.Listens(at, address))
	return Daemon{scheme + "://" + address, pid, stop}, err
}

// nginxConfig takes nginx's directory and the servers. One process serves, so that its
// processor time can be read. A client and an origin take a connection each.
const nginxConfig = `daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  default_type application/octet-stream;
%[2]s
}
`
