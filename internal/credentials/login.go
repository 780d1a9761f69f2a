package credentials

import (
	"fmt"
	"io"
)

// Login is what is stored for a registry. The zero value means that nothing is
// stored. The fmt package prints a Login without its secrets under every verb,
// and encoding/json leaves them out.
type Login struct {
	Username string // empty where the registry needs only a token
	Password string `json:"-"`
	// IdentityToken is an OAuth 2 refresh token: "identitytoken" in a file, or
	// the secret that a helper stores under the user name "<token>".
	IdentityToken string `json:"-"`
	// RegistryToken is a bearer token to send as it is: "registrytoken".
	RegistryToken string `json:"-"`
	// From says where the login is stored, for messages: the path of a file, or
	// "credential helper docker-credential-x (named in PATH)".
	From string
}

// Empty reports whether nothing is stored.
func (l Login) Empty() bool {
	return l.Username == "" && l.Password == "" && l.IdentityToken == "" && l.RegistryToken == ""
}

// String names the place and the user, and hides the secrets.
func (l Login) String() string {
	if l.Empty() {
		return "no login"
	}
	return fmt.Sprintf("login of user %q from %s", l.Username, l.From)
}

// Format prints String under every verb, so that no verb prints a secret.
func (l Login) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, l.String())
}
