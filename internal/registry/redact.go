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

// bare is what a url.Error holds, without the method and URL that it repeats.
func bare(err error) error {
	for {
		outer, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = outer.Err
	}
}

// sealed is an error whose text had something to hide. It answers errors.Is as
// before, but no caller can unwrap and print what it hides.
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

// oneLine makes a short line of text: of URLs scheme and host are kept, and no
// control characters.
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

// hideSecrets takes out of text what req carried and a host may repeat.
func hideSecrets(req *http.Request, text string) string {
	for _, secret := range slices.Concat(secretsOfURL(req.URL), secretsOfHeader(req.Header), secretsOfForm(req.PostForm)) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// secretsOfURL are the parts of a signed URL. Short ones are no secrets, and
// would be found in any text.
func secretsOfURL(u *url.URL) []string {
	secrets := []string{u.RawQuery, u.EscapedPath(), u.Path}
	for key, values := range u.Query() {
		if !slices.Contains([]string{"ns", "scope", "service"}, key) {
			secrets = append(secrets, values...)
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 8 })
}

// secretsOfForm are the refresh tokens of a request for a token.
func secretsOfForm(form url.Values) []string { return form["refresh_token"] }

// secretsOfHeader are the values of all fields but the harmless, and what
// stands in Authorization: a token, or a login and its password.
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
