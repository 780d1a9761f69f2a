package bucket

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// address is where the objects are.
type address struct {
	bucket, prefix string
	endpoint       string // host[:port]
	secure         bool   // by TLS
	region         string // "": S3 tells
}

const (
	amazon = "s3.amazonaws.com"
	// usualRegion is what servers other than Amazon's expect.
	usualRegion = "us-east-1"
	// These are lengths in bytes: of the name of a bucket, by Amazon's rules, and of a prefix.
	mostOfBucket, mostOfPrefix = 63, 200
)

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]+[a-z0-9]$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)
	errSecret  = errors.New("the URL must not have credentials: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into ~/.aws/credentials")
)

const urlForm = `write it as "s3://bucket/prefix?endpoint=https://host:port&region=name"`

// parse reads s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME]. The error has no part of
// the URL that may be a secret.
func parse(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Fragment != "" {
		return address{}, errors.New("it is no URL of S3: " + urlForm)
	}
	if u.User != nil {
		return address{}, errSecret
	}
	a := address{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), endpoint: amazon, secure: true}
	switch {
	case !bucketName.MatchString(a.bucket) || len(a.bucket) > mostOfBucket:
		return address{}, fmt.Errorf("the name of the bucket is invalid, %q: %s", a.bucket, urlForm)
	case !prefixName.MatchString(a.prefix) || len(a.prefix) > mostOfPrefix || a.prefix != strings.TrimPrefix(path.Clean("/"+a.prefix), "/"):
		return address{}, fmt.Errorf("the prefix is invalid, %q: use at most %d letters, digits and . _ - /", a.prefix, mostOfPrefix)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return address{}, errors.New("it is no URL of S3: " + urlForm)
	}
	for key, values := range query {
		switch {
		case len(values) > 1:
			return address{}, fmt.Errorf("the URL has %q more than once", key)
		case key == "region":
			a.region = values[0]
		case key == "endpoint":
			if err := a.setEndpoint(values[0]); err != nil {
				return address{}, err
			}
		case strings.Contains(strings.ToLower(key), "key"), strings.Contains(strings.ToLower(key), "secret"), strings.Contains(strings.ToLower(key), "token"):
			return address{}, errSecret
		default:
			return address{}, fmt.Errorf("the URL has %q, which is unknown: %s", key, urlForm)
		}
	}
	if a.region == "" && a.endpoint != amazon {
		a.region = usualRegion
	}
	return a, nil
}

func (a *address) setEndpoint(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return errSecret
	}
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the endpoint is no URL of a server: " + urlForm)
	}
	a.endpoint, a.secure = u.Host, u.Scheme == "https"
	return nil
}

// name is what messages call the bucket.
func (a address) name() string {
	return strings.TrimSuffix("s3://"+a.bucket+"/"+a.prefix, "/")
}

// key is the name of an object.
func (a address) key(parts ...string) string {
	return path.Join(append([]string{a.prefix}, parts...)...)
}
