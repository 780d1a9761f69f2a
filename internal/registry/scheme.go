package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
)

// schemeTimeout is the most time for each check of the protocol of a port.
const schemeTimeout = 5 * time.Second

// schemeChoice records the protocol of the host's port.
type schemeChoice struct {
	turn     *semaphore.Weighted // a mutex that can be waited for with a context
	settled  bool                // guarded by turn
	answered atomic.Bool
}

// chooseScheme finds the protocol of a host that may be asked by http: it tries https
// first, as docker does. A host that speaks TLS is asked by https, even if its
// certificate is invalid. chooseScheme returns only errors of ctx.
func (c *Client) chooseScheme(ctx context.Context) error {
	if c.scheme.turn.Acquire(ctx, 1) != nil {
		return c.fault("manifest", c.home.url(), ended(ctx))
	}
	defer c.scheme.turn.Release(1)
	if c.scheme.settled {
		return nil
	}
	err := c.ping(ctx, c.home.root())
	switch {
	case ctx.Err() != nil:
		return c.fault("manifest", c.home.url(), ended(ctx))
	case err == nil || isPermanent(err):
	default:
		plain := *c.home.url()
		plain.Scheme = "http"
		c.home.at.Store(&plain)
	}
	c.scheme.settled = true
	return nil
}

// ping sends one request without authorization. Any answer is a success.
func (c *Client) ping(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, schemeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := lastHop(c.transport).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// plainly adds to the error of a request that the port speaks the other protocol, if
// it does.
func (c *Client) plainly(ctx context.Context, at *url.URL, err error) error {
	switch {
	case isSchemeMismatch(err):
		return speaksHTTP(at)
	case at.Scheme == "http" && c.speaksTLS(ctx, at):
		return speaksHTTPS(at)
	case at.Scheme == "https" && isBroken(err) && c.speaksPlain(ctx, at):
		return speaksHTTP(at)
	}
	return err
}

func speaksHTTP(at *url.URL) error {
	return permanent(fmt.Sprintf("this port speaks HTTP, not HTTPS: write http://%s", at.Host))
}

func speaksHTTPS(at *url.URL) error {
	return permanent(fmt.Sprintf("this port speaks HTTPS, not HTTP: write https://%s", at.Host))
}

// isSchemeMismatch reports whether a server answered a TLS handshake with
// something else.
func isSchemeMismatch(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}

var tlsWanted = regexp.MustCompile(`(?i)http request (was sent )?to (an )?https|plain http to an ssl`)

// wantsTLS reports whether the answer to a request by http says that the port speaks
// TLS: it knows the texts of Go, nginx and Apache.
func wantsTLS(message string) bool { return tlsWanted.MatchString(message) }

// isBroken reports whether a connection ended before there was an answer.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), "malformed HTTP")
}

// mayLook reports whether to find out the protocol of a port: it has not answered so
// far, and there is no proxy.
func (c *Client) mayLook(at *url.URL) bool {
	if c.scheme.answered.Load() || !c.home.is(at) {
		return false
	}
	proxy, err := c.transport.proxy(&http.Request{URL: at})
	return proxy == nil && err == nil
}

// speaksTLS does a TLS handshake with the port of an http URL. It sends no data, so the
// certificate does not matter.
func (c *Client) speaksTLS(ctx context.Context, at *url.URL) bool {
	if at.Scheme != "http" || !c.mayLook(at) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, schemeTimeout)
	defer cancel()
	conn, err := c.transport.connect(ctx, "tcp", hostPort(at))
	if err != nil {
		return false
	}
	defer conn.Close()
	client := tls.Client(conn, &tls.Config{ServerName: at.Hostname(), InsecureSkipVerify: true})
	err = client.HandshakeContext(ctx)
	return err == nil || isAlert(err)
}

// speaksPlain requests /v2/ from the port of an https URL by http.
func (c *Client) speaksPlain(ctx context.Context, at *url.URL) bool {
	if !c.mayLook(at) {
		return false
	}
	root, err := url.Parse(c.home.root())
	if err != nil {
		return false
	}
	root.Scheme, root.Host = "http", hostPort(at)
	ctx, cancel := context.WithTimeout(ctx, schemeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, root.String(), nil)
	if err != nil {
		return false
	}
	plain := &http.Transport{DialContext: c.transport.connect, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes}
	resp, err := plain.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}
