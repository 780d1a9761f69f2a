package registry

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// bare returns the error in a url.Error, without the method and the URL.
func bare(err error) error {
	for {
		outer, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = outer.Err
	}
}

// sealed is an error without the secrets that its text had. errors.Is works as before,
// but no caller can unwrap and print the secrets.
type sealed struct {
	text string
	err  error
}

func (e *sealed) Error() string        { return e.text }
func (e *sealed) Is(target error) bool { return errors.Is(e.err, target) }

func seal(err error) error {
	text := oneLine(err.Error())
	if text == err.Error() {
		return err
	}
	return &sealed{text, err}
}

var urlInText = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s"'<>/?#]*@)?([^\s"'<>/?#]*)[^\s"'<>]*`)

// oneLine makes a short line of text, with only the scheme and the host of URLs, and
// without control characters.
func oneLine(text string) string {
	const most = 300
	text = urlInText.ReplaceAllString(strings.ToValidUTF8(text, "?"), "$1$2")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// hideSecrets removes from text the secrets of req, which a host may repeat.
func hideSecrets(req *http.Request, text string) string {
	for _, secret := range slices.Concat(secretsOfURL(req.URL), secretsOfHeader(req.Header), secretsOfForm(req.PostForm)) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// secretsOfURL returns the parts of a signed URL. Short parts are no secrets, and occur
// in any text.
func secretsOfURL(u *url.URL) []string {
	secrets := []string{u.RawQuery, u.EscapedPath(), u.Path}
	for key, values := range u.Query() {
		if !slices.Contains([]string{"ns", "scope", "service"}, key) {
			secrets = append(secrets, values...)
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 8 })
}

// secretsOfForm returns the refresh tokens of a request for a token.
func secretsOfForm(form url.Values) []string { return form["refresh_token"] }

// secretsOfHeader returns the values of all fields that are not known to be harmless,
// and the content of Authorization: a token, or a user name and a password.
func secretsOfHeader(header http.Header) []string {
	var secrets []string
	for name, values := range header {
		if !slices.Contains([]string{"Accept", "Accept-Encoding", "Range", "User-Agent"}, name) {
			secrets = append(secrets, values...)
		}
	}
	if _, token, ok := strings.Cut(header.Get("Authorization"), " "); ok {
		secrets = append(secrets, token)
		if login, err := base64.StdEncoding.DecodeString(token); err == nil {
			_, password, _ := strings.Cut(string(login), ":")
			secrets = append(secrets, string(login), password)
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}
