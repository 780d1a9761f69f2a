package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
	orascredentials "oras.land/oras-go/v2/registry/remote/credentials"
)

// dockerHubKey is what docker login files Docker Hub's credentials under.
const dockerHubKey = "https://index.docker.io/v1/"

// CredentialError says that the credentials stored for a host cannot be read,
// or not be sent.
type CredentialError struct {
	Host string
	Err  error
	Mend string // what the user can do
}

func (e *CredentialError) Error() string {
	return fmt.Sprintf("credentials for %s: %v; %s", e.Host, e.Err, e.Mend)
}

func (e *CredentialError) Unwrap() error { return e.Err }

// Refused is true: asking again does not help.
func (e *CredentialError) Refused() bool { return true }

// credentials looks up what docker login and podman login stored. A file is
// read when it is first needed, and once; nothing is ever written.
type credentials struct {
	files []credentialFile
}

type credentialFile struct {
	path string
	load func() (*orascredentials.DynamicStore, error)
	hub  []string // keys that Docker Hub goes by in this kind of file
}

// newCredentials knows Docker's configuration file, then those of podman,
// skopeo and buildah (containers-auth.json(5)).
func newCredentials() *credentials {
	home, _ := os.UserHomeDir()
	c := &credentials{}
	docker := os.Getenv("DOCKER_CONFIG")
	if docker == "" && home != "" {
		docker = filepath.Join(home, ".docker")
	}
	if docker != "" {
		c.add(filepath.Join(docker, "config.json"), dockerHubKey)
	}
	containers := []string{os.Getenv("REGISTRY_AUTH_FILE")}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		containers = append(containers, filepath.Join(dir, "containers", "auth.json"))
	}
	if home != "" {
		containers = append(containers, filepath.Join(home, ".config", "containers", "auth.json"))
	}
	for _, path := range containers {
		if path != "" {
			c.add(path, dockerHub, dockerHubKey)
		}
	}
	return c
}

func (c *credentials) add(path string, hub ...string) {
	load := sync.OnceValues(func() (*orascredentials.DynamicStore, error) {
		return orascredentials.NewStore(path, orascredentials.StoreOptions{})
	})
	c.files = append(c.files, credentialFile{path, load, hub})
}

// get returns the credential of the first file that has one for the host, or
// the empty one.
func (c *credentials) get(ctx context.Context, host string) (auth.Credential, error) {
	for _, f := range c.files {
		cred, err := f.get(ctx, host)
		if err != nil || cred != auth.EmptyCredential {
			return cred, err
		}
	}
	return auth.EmptyCredential, nil
}

// withhold returns the empty credential for a host that has none stored, and
// else an error: whoever answers in its place would get them.
func (c *credentials) withhold(ctx context.Context, host string) (auth.Credential, error) {
	cred, err := c.get(ctx, host)
	if err == nil && cred != auth.EmptyCredential {
		err = &CredentialError{Host: host, Err: errors.New("they are not sent with tls-verify = false"), Mend: "name its certificate by ca instead"}
	}
	return auth.EmptyCredential, err
}

func (f credentialFile) get(ctx context.Context, host string) (auth.Credential, error) {
	store, err := f.load()
	if err != nil {
		return auth.EmptyCredential, f.fault(host, withoutSecret(err, "not a valid file of credentials"))
	}
	keys := []string{host}
	if canonical(host) == dockerHub {
		host, keys = dockerHub, f.hub
	}
	for _, key := range keys {
		cred, err := store.Get(ctx, key)
		if ctx.Err() != nil {
			return auth.EmptyCredential, context.Cause(ctx)
		}
		if err != nil {
			return auth.EmptyCredential, f.fault(host, withoutSecret(err, "the entry is damaged or its credential helper failed"))
		}
		if cred != auth.EmptyCredential {
			return cred, nil
		}
	}
	return auth.EmptyCredential, nil
}

func (f credentialFile) fault(host string, err error) error {
	return &CredentialError{host, fmt.Errorf("%s: %w", f.path, err), "mend the file or run docker login " + host}
}

// withoutSecret keeps errors that are known to hold no secret: oras-go quotes
// the decoded password in others.
func withoutSecret(err error, otherwise string) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err // the path is told anyway
	}
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("its credential helper failed: %w", e)
	}
	return errors.New(otherwise)
}
