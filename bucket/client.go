package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// lookTimeout bounds each request that has no blob in it: it delays the mirrors.
	lookTimeout = 3 * time.Second
	// dialTimeout bounds a connection, and metadataDialTimeout one to the machine's
	// service for credentials, which other machines do not have.
	dialTimeout         = 3 * time.Second
	metadataDialTimeout = time.Second
	// headerTimeout bounds the wait for an answer.
	headerTimeout = 30 * time.Second
	// leastPut is how many bytes a second a put has to bring, after lookTimeout: a pull waits
	// for it.
	leastPut = 256 << 10
	// joinTimeout bounds the last request for an object of several parts: the server may copy
	// them.
	joinTimeout = 5 * time.Minute
	// tidyTimeout bounds what is done after a put that was cut, or for a claim that ends.
	tidyTimeout = 500 * time.Millisecond

	// partSize is the size of the parts of a large object in bytes, and mostParts their
	// number: S3 allows 10,000.
	partSize  = 8 << 20
	mostParts = 9000
)

// client makes requests to S3.
type client struct {
	address
	core  *minio.Core
	clock *clock
}

func newClient(a address) (*client, error) {
	c := &clock{transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}}
	core, err := minio.NewCore(a.endpoint, &minio.Options{
		Creds: credentials.New(newChain()), Secure: a.secure, Region: a.region, Transport: c,
		MaxRetries: 1, // the scheduler and health decide what is made again
	})
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", a.name(), err)
	}
	return &client{address: a, core: core, clock: c}, nil
}

// chain finds credentials as Amazon's programs do: in the environment, in the shared files,
// and from the machine, the container or a web identity.
type chain struct{ credentials.Chain }

func newChain() *chain {
	metadata := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: metadataDialTimeout}).DialContext, DisableKeepAlives: true,
	}}
	return &chain{credentials.Chain{Providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: metadata},
	}}}
}

// RetrieveWithCredContext implements credentials.Provider. It does not try without
// credentials.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := c.Chain.RetrieveWithCredContext(cc)
	if err == nil && value.SignerType.IsAnonymous() {
		err = errNoCredentials
	}
	return value, err
}

// clock makes requests, and learns from the answers what time it is at S3.
type clock struct {
	transport *http.Transport
	ahead     atomic.Int64 // of the clock of this machine, in ns
}

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.ahead.Store(int64(time.Until(date)))
	}
	return resp, nil
}

// now is the time at S3, to about a second.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// head returns what S3 says of an object.
func (c *client) head(ctx context.Context, key string) (minio.ObjectInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.core.StatObject(ctx, c.bucket, key, minio.StatObjectOptions{})
}

// condition is what must hold for a put.
type condition struct {
	absent bool
	etag   string // "": any
}

func (c condition) options(contentType string) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{ContentType: contentType, DisableContentSha256: true}
	if c.absent {
		opts.SetMatchETagExcept("*")
	}
	if c.etag != "" {
		opts.SetMatchETag(c.etag)
	}
	return opts
}

// putSmall puts an object in one request, and returns its ETag. The server checks the bytes.
func (c *client) putSmall(ctx context.Context, key, contentType string, body []byte, when condition) (etag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeToPut(body))
	defer cancel()
	sum := sha256.Sum256(body)
	info, err := c.core.PutObject(ctx, c.bucket, key, bytes.NewReader(body), int64(len(body)), "", hex.EncodeToString(sum[:]), when.options(contentType))
	return info.ETag, err
}

// timeToPut is how long a request may take that sends these bytes.
func timeToPut(body []byte) time.Duration {
	return lookTimeout + time.Duration(len(body)/leastPut)*time.Second
}

// putBlob puts size bytes, if their SHA-256 is sum; otherwise, and if they cannot be read, the
// error is a localError. An object of several parts appears with the last request.
func (c *client) putBlob(ctx context.Context, key string, from io.Reader, size int64, sum string, when condition) error {
	whole, buf := sha256.New(), make([]byte, min(size, max(partSize, (size+mostParts-1)/mostParts)))
	if size == int64(len(buf)) {
		if err := readPart(from, buf, whole); err != nil {
			return err
		}
		if err := same(whole, sum); err != nil {
			return err
		}
		_, err := c.putSmall(ctx, key, "", buf, when)
		return err
	}
	id, err := c.beginParts(ctx, key)
	if err != nil {
		return err
	}
	parts, err := c.putParts(ctx, key, id, from, size, buf, whole)
	if err == nil {
		err = same(whole, sum)
	}
	if err == nil {
		joining, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		_, err = c.core.CompleteMultipartUpload(joining, c.bucket, key, id, parts, when.options(""))
	}
	if err != nil {
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
		defer cancel()
		_ = c.core.AbortMultipartUpload(tidy, c.bucket, key, id) // the bucket may have a rule that does so
	}
	return err
}

func (c *client) beginParts(ctx context.Context, key string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.core.NewMultipartUpload(ctx, c.bucket, key, minio.PutObjectOptions{})
}

func (c *client) putParts(ctx context.Context, key, id string, from io.Reader, size int64, buf []byte, whole hash.Hash) (parts []minio.CompletePart, err error) {
	for off := int64(0); off < size; {
		part := buf[:min(int64(len(buf)), size-off)]
		if err := readPart(from, part, whole); err != nil {
			return nil, err
		}
		etag, err := c.putPart(ctx, key, id, len(parts)+1, part)
		if err != nil {
			return nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: len(parts) + 1, ETag: etag})
		off += int64(len(part))
	}
	return parts, nil
}

func (c *client) putPart(ctx context.Context, key, id string, number int, part []byte) (etag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeToPut(part))
	defer cancel()
	sum := sha256.Sum256(part)
	done, err := c.core.PutObjectPart(ctx, c.bucket, key, id, number, bytes.NewReader(part), int64(len(part)),
		minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true})
	return done.ETag, err
}

func readPart(from io.Reader, part []byte, whole hash.Hash) error {
	if _, err := io.ReadFull(from, part); err != nil {
		return localError{err}
	}
	whole.Write(part)
	return nil
}

func same(whole hash.Hash, sum string) error {
	if got := hex.EncodeToString(whole.Sum(nil)); got != sum {
		return localError{fmt.Errorf("the bytes in the cache have another digest, sha256:%s", got)}
	}
	return nil
}

// get opens the bytes [start, end) of an object of size bytes.
func (c *client) get(ctx context.Context, key string, start, end, size int64) (io.ReadCloser, error) {
	opts := minio.GetObjectOptions{}
	if start > 0 || end < size {
		if err := opts.SetRange(start, end-1); err != nil {
			return nil, err
		}
	}
	body, _, header, err := c.core.GetObject(ctx, c.bucket, key, opts)
	if err != nil {
		return nil, err
	}
	whole, got := start == 0 && end == size, strings.TrimPrefix(header.Get("Content-Range"), "bytes ")
	if got != fmt.Sprintf("%d-%d/%d", start, end-1, size) && !(whole && got == "") || header.Get("Content-Length") != fmt.Sprint(end-start) {
		body.Close()
		return nil, errShort
	}
	return body, nil
}

// remove deletes an object.
func (c *client) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	return c.core.RemoveObject(ctx, c.bucket, key, minio.RemoveObjectOptions{})
}

// read returns an object of at most limit bytes, with its media type.
func (c *client) read(ctx context.Context, key string, limit int64) (mediaType string, body []byte, err error) {
	from, info, _, err := c.core.GetObject(ctx, c.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", nil, err
	}
	defer from.Close()
	body, err = io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errShort
	}
	return info.ContentType, body, err
}
