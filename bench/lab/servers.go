package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/segpull/segpull/bench/program"
)

// registryStorage is where docker-registry keeps what was pushed.
type registryStorage struct {
	dir string // for the configurations and logs of servers too
	// redirect is the server to which the registry redirects requests for
	// blobs, scheme://host:port; "": it serves them itself.
	redirect string
}

// serveRegistry runs Debian's docker-registry until stop is called.
func serveRegistry(at program.Place, s registryStorage) (address string, stop func(), err error) {
	address, err = program.FreeAddress(at)
	if err != nil {
		return "", nil, err
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, cache: {blobdescriptor: inmemory}}
http: {addr: %q}
`, s.dir, address)
	if s.redirect != "" {
		config += fmt.Sprintf("middleware: {storage: [{name: redirect, options: {baseurl: %q}}]}\n", s.redirect)
	}
	path := filepath.Join(s.dir, address+".yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	_, stop, err = program.Daemon(at, exec.Command("docker-registry", "serve", path), program.Listens(at, address))
	return address, stop, err
}

// serveCDN runs an nginx that serves the registry's blobs with TLS.
func serveCDN(at program.Place, s registryStorage, certificate authority) (base string, stop func(), err error) {
	address, err := program.FreeAddress(at)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "nginx-")
	if err != nil {
		return "", nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, err
	}
	if err := certificate.issue(host, dir); err != nil {
		return "", nil, err
	}
	config := fmt.Sprintf(nginxConfig, asRoot(), dir, address, s.dir)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	nginx := exec.Command("nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", "nginx.conf")
	_, stop, err = program.Daemon(at, nginx, program.Listens(at, address))
	return "https://" + address, stop, err
}

// nginxConfig takes the user directive, nginx's directory, its address and the
// directory of the blobs.
const nginxConfig = `daemon off;
%[1]s
worker_processes 1;
pid %[2]s/pid;
error_log %[2]s/error.log;
events {}
http {
  access_log off;
  sendfile on;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  default_type application/octet-stream;
  server { listen %[3]s ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; root %[4]s; }
}
`

// asRoot lets nginx's worker read files that only root can read.
func asRoot() string {
	if os.Geteuid() == 0 {
		return "user root;"
	}
	return ""
}
