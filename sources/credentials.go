package sources

import (
	"context"
	"fmt"

	"github.com/segpull/segpull/internal/credentials"
	"github.com/segpull/segpull/internal/registry"
)

// Logins are the logins that docker login and podman login stored. They are safe
// for concurrent use, and several Sets may share them.
type Logins struct {
	store *credentials.Store
	// PrivateOnly withholds logins, and leaves out mirrors that need an Authorization
	// header or a client certificate, where the mirror's table does not have private =
	// true. Set it before the first New: a server sends what it gets to others.
	PrivateOnly bool
}

// NewLogins returns the logins in authfile alone or, if that is "", in the files
// of docker and podman. It reads nothing yet: each file is read when a host first
// asks for a login. NewLogins reports each problem with a file or a credential
// helper once, by warn, which several goroutines may call.
func NewLogins(authfile string, warn func(message string)) *Logins {
	store := credentials.New(authfile)
	store.Warn = warn
	return &Logins{store: store}
}

func (l *Logins) find(ctx context.Context, host, repository string) (registry.Login, error) {
	login, err := l.store.Find(ctx, host, repository)
	return registry.Login(login), err
}

// withhold returns no login, and an error if one is stored: any host that answers
// in the place of an unchecked mirror would get it. The same applies to hosts that
// the mirror redirects to, since it may be their token server, or one of them by
// another spelling.
func (l *Logins) withhold(ctx context.Context, host, repository string) (registry.Login, error) {
	login, err := l.store.Find(ctx, host, repository)
	if err == nil && !login.Empty() {
		err = &CredentialError{Host: host, Err: fmt.Errorf("segpull does not send the login stored in %s with tls-verify = false", login.From), Fix: "give the host's certificate with ca instead"}
	}
	return registry.Login{}, err
}

// waiting names the credential helper that has not answered, "" if there is
// none.
func (l *Logins) waiting() string { return l.store.Waiting() }

// CredentialError says that segpull does not send the login stored for a host.
type CredentialError struct {
	Host string
	Err  error  // why
	Fix  string // what the user can do
}

// Error returns one line.
func (e *CredentialError) Error() string {
	return fmt.Sprintf("credentials for %s: %v; %s", e.Host, e.Err, e.Fix)
}

// Unwrap returns the reason.
func (e *CredentialError) Unwrap() error { return e.Err }

// Refused returns true: a second request would fail in the same way.
func (e *CredentialError) Refused() bool { return true }

// silentHelper is the reason of a source that cannot be asked before a
// credential helper has answered.
type silentHelper string

func (h silentHelper) Error() string {
	return "waiting for " + string(h) + ", which has not answered"
}

// Unreachable is false: the network is not the cause.
func (h silentHelper) Unreachable() bool { return false }
