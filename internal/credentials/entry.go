package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// entry is one value of "auths". docker leaves it empty where a helper keeps
// the login.
type entry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// decodeEntry returns the login of an entry, which may be empty. Its errors
// quote nothing of the entry.
func decodeEntry(raw json.RawMessage) (Login, error) {
	var e entry
	if json.Unmarshal(raw, &e) != nil {
		return Login{}, errors.New("it is not a JSON object with string values")
	}
	login := Login{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return login, nil
	}
	var err error
	login.Username, login.Password, err = decodeAuth(e.Auth)
	if err != nil {
		return Login{}, err
	}
	return login, nil
}

// decodeAuth takes base64 of user:password apart, as docker does: a password
// may hold colons, and docker on Windows pads it with NUL bytes.
func decodeAuth(auth string) (user, password string, err error) {
	text, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		return "", "", errors.New("its auth is not base64")
	}
	user, password, found := strings.Cut(string(text), ":")
	if !found {
		return "", "", errors.New("its auth holds no colon between user name and password")
	}
	if user == "" {
		return "", "", errors.New("its auth holds no user name")
	}
	return user, strings.Trim(password, "\x00"), nil
}
