package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestErrorKinds(t *testing.T) {
	type kinds struct{ missing, refused, busy, mismatch, permanent bool }
	for name, test := range map[string]struct {
		err  Error
		want kinds
	}{
		"404":                  {Error{StatusCode: 404}, kinds{missing: true}},
		"blob unknown":         {Error{StatusCode: 400, Code: "BLOB_UNKNOWN"}, kinds{missing: true}},
		"name unknown":         {Error{StatusCode: 401, Code: "NAME_UNKNOWN"}, kinds{missing: true}},
		"no token server":      {Error{Op: "token", StatusCode: 404}, kinds{permanent: true}},
		"400":                  {Error{StatusCode: 400}, kinds{permanent: true}},
		"a proxy's 407":        {Error{StatusCode: 407}, kinds{permanent: true}},
		"408":                  {Error{StatusCode: 408}, kinds{}},
		"a policy's 412":       {Error{StatusCode: 412}, kinds{permanent: true}},
		"451 of a legal order": {Error{StatusCode: 451}, kinds{permanent: true}},
		"501":                  {Error{StatusCode: 501}, kinds{permanent: true}},
		"refused redirect":     {Error{final: isPermanent(ErrInsecureStorage)}, kinds{permanent: true}},
		"401":                  {Error{StatusCode: 401}, kinds{refused: true}},
		"403":                  {Error{StatusCode: 403, Code: "DENIED"}, kinds{refused: true}},
		"403, for a while":     {Error{StatusCode: 403, Code: "TOOMANYREQUESTS"}, kinds{busy: true}},
		"429":                  {Error{StatusCode: 429}, kinds{busy: true}},
		"503":                  {Error{StatusCode: 503}, kinds{}},
		"503, for a while":     {Error{StatusCode: 503, HasAfter: true}, kinds{busy: true}},
		"500":                  {Error{StatusCode: 500}, kinds{}},
		"416":                  {Error{StatusCode: 416}, kinds{mismatch: true}},
		"mismatch":             {Error{Err: mismatch("other")}, kinds{mismatch: true}},
		"broken":               {Error{Err: errors.New("connection refused")}, kinds{}},
	} {
		e := &test.err
		if got := (kinds{e.Missing(), e.Refused(), e.Busy(), e.Mismatch(), e.Permanent()}); got != test.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestErrorText(t *testing.T) {
	server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\ndown"}]}`, http.StatusTooManyRequests)
	})
	want := "mirror: manifest " + server.URL + "/v2/library/ubuntu/manifests/22.04: 429 Too Many Requests: TOOMANYREQUESTS: slow down (retry after 1m30s)"
	e := get(t, client(t, server.URL))
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	if after, ok := e.RetryAfter(); after != 90*time.Second || !ok {
		t.Errorf("retry after %v %v", after, ok)
	}
}

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct{ contentType, body, code, message string }{
		"specification":  {"application/json", `{"errors":[{"code":"DENIED","message":"no","detail":{"a":1}},{"code":"X"}]}`, "DENIED", "no"},
		"no errors":      {"application/json", `{"errors":[]}`, "", `{"errors":[]}`},
		"other JSON":     {"application/json", `{"code":403,"message":"no"}`, "", "no"},
		"error in JSON":  {"application/json", `{"error":{"code":7,"message":"no"}}`, "", "no"},
		"text of errors": {"application/json", `{"errors":["no"]}`, "", `{"errors":["no"]}`},
		"S3":             {"application/xml", `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message><Key>k</Key></Error>`, "AccessDenied", "Request has expired"},
		"web page":       {"", "\n<!DOCTYPE html><html><head><title>Stop</title><style>p{}</style><script>let x = \"</p>\"</script></head><body><h1>403</h1>\n<p>Not &amp; never</p>", "", "Stop 403 Not & never"},
		"web page, type": {"text/html; charset=utf-8", "hello", "", "hello"},
		"JSON as HTML":   {"text/html", `{"message":"no"}`, "", "no"},
		"text":           {"text/plain", "not\tfound\r\n\x1b[31m\x00", "", "not found [31m"},
		"long":           {"text/plain", strings.Repeat("é", 1000), "", strings.Repeat("é", 300) + "…"},
		"not UTF-8":      {"text/plain", "a\xffb", "", "a?b"},
		"empty":          {"", "", "", ""},
		"URL":            {"", "see https://u:p@s@host.test:8/path?sig=x, or not", "", "see https://host.test:8 or not"},
	} {
		code, message := explain(http.Header{"Content-Type": {test.contentType}}, []byte(test.body))
		if code != test.code || message != test.message {
			t.Errorf("%s: got %q, %q", name, code, message)
		}
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("application/json", []byte(`{"errors":[{"code":"DENIED","message":"no"}]}`))
	f.Add("application/xml", []byte(`<Error><Code>AccessDenied</Code><Message>expired</Message></Error>`))
	f.Add("text/html", []byte("<html>"))
	f.Add("", []byte("see https://user:password@host/path?signature=x\x1b[0m\r\n"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		code, message := explain(http.Header{"Content-Type": {contentType}}, body)
		for _, s := range []string{code, message} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || utf8.RuneCountInString(s) > 301 {
				t.Errorf("%q", s)
			}
			if oneLine(s) != s {
				t.Errorf("%q becomes %q", s, oneLine(s))
			}
		}
	})
}

// With any failure, and if the server repeats any part of the request.
func TestNoSecretInErrors(t *testing.T) {
	echo := func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(418)
		fmt.Fprintln(w, req.URL.RawQuery, req.Header)
	}
	cdn, _ := serve(t, false, echo)
	for name, handler := range map[string]http.HandlerFunc{
		"echo":                  echo,
		"redirect to echo":      status(307, "Location", cdn.URL+"/secret/path?X-Amz-Signature=secret%2Fsignature"),
		"redirect to nowhere":   status(307, "Location", "http://user:secret@127.0.0.1:1/secret?signature=secret"),
		"redirect to no name":   status(307, "Location", "http://u:secret@nobody.invalid/secret?signature=secret"),
		"malformed redirect":    status(307, "Location", "http://u:secret@[/?signature=secret"),
		"malformed response":    hijack("secret?signature=x\r\n\r\n"),
		"token server is gone":  status(401, "WWW-Authenticate", `Bearer realm="http://u:secret@127.0.0.1:1/t?key=secret"`),
		"token server is wrong": status(401, "WWW-Authenticate", `Bearer realm="gopher://u:secret@host/t?key=secret"`),
		"Basic":                 status(401, "WWW-Authenticate", `Basic realm="secret"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := serve(t, false, handler)
			c := client(t, strings.Replace(server.URL, "http://", "http://u:secret@", 1), func(cfg *Config) {
				cfg.Header = http.Header{"X-Mirror-Key": {"mirror-secret"}, "Authorization": {"Bearer secret-token"}}
				cfg.Login = login
			})
			_, err := fetchBlob(t, c, 0, 16)
			for e := error(asError(t, err)); e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %q", e, e, e); strings.Contains(text, "secret") && !strings.Contains(text, "malformed HTTP") {
					t.Errorf("a secret in %s", text)
				}
			}
		})
	}
}

func hijack(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(answer))
	}
}

func TestProxyPasswordIsHidden(t *testing.T) {
	t.Parallel()
	bad := errors.New(`invalid proxy address "http://user:secret@proxy:x"`)
	c := client(t, "http://registry.test", func(cfg *Config) {
		cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, bad }
	})
	e := get(t, c)
	if strings.Contains(e.Error(), "secret") || !strings.Contains(e.Error(), "invalid proxy address") || !errors.Is(e, bad) {
		t.Errorf("got %v", e)
	}
}

func TestEndOfContext(t *testing.T) {
	server, _ := serve(t, false, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	why := errors.New("hedge lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	_, err := client(t, server.URL).Blob(ctx, "a", contentDescriptor(), 0, 16)
	if asError(t, err); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
