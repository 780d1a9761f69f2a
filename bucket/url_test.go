package bucket

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]address{
		"s3://blobs":                                                       {bucket: "blobs", endpoint: amazon, secure: true},
		"s3://blobs/team/a?region=eu-central-1":                            {bucket: "blobs", prefix: "team/a", endpoint: amazon, secure: true, region: "eu-central-1"},
		"s3://blobs/team/?endpoint=https://s3.example:9000":                {bucket: "blobs", prefix: "team", endpoint: "s3.example:9000", secure: true, region: usualRegion},
		"s3://blobs?endpoint=http%3A%2F%2F127.0.0.1%3A7070&region=x":       {bucket: "blobs", endpoint: "127.0.0.1:7070", region: "x"},
		"s3://" + strings.Repeat("b", 63) + "/" + strings.Repeat("p", 200): {bucket: strings.Repeat("b", 63), prefix: strings.Repeat("p", 200), endpoint: amazon, secure: true},
		"s3://blobs?endpoint=https://[::1]:9000/":                          {bucket: "blobs", endpoint: "[::1]:9000", secure: true, region: usualRegion},
	} {
		if got, err := parse(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"/var/cache":                               "no URL of S3",
		"https://s3.example/blobs":                 "no URL of S3",
		"s3:blobs":                                 "name of the bucket",
		"s3://Blobs":                               "name of the bucket",
		"s3://" + strings.Repeat("b", 64):          "name of the bucket",
		"s3://bb":                                  "name of the bucket",
		"s3://blobs/" + strings.Repeat("p", 201):   "prefix",
		"s3://blobs/../other":                      "prefix",
		"s3://blobs/a//b":                          "prefix",
		"s3://blobs/a%20b":                         "prefix",
		"s3://AKIA:hidden@blobs":                   "must not have credentials",
		"s3://blobs?secret_key=hidden":             "must not have credentials",
		"s3://blobs?endpoint=https://u:hidden@s3":  "must not have credentials",
		"s3://blobs?endpoint=s3.example":           "endpoint",
		"s3://blobs?endpoint=ftp://s3.example":     "endpoint",
		"s3://blobs?endpoint=https://s3.example/a": "endpoint",
		"s3://blobs?region=a&region=b":             "more than once",
		"s3://blobs?class=cold":                    `"class", which is unknown`,
		"s3://blobs#a":                             "no URL of S3",
		"s3://blobs?a=%zz":                         "no URL of S3",
	} {
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzParse wants keys below the prefix, and no part of a password in an error.
func FuzzParse(f *testing.F) {
	f.Add("s3://blobs/team?endpoint=https://s3.example:9000&region=x")
	f.Add("s3://u:hidden-word@blobs")
	f.Add("s3://blobs/a/../b?endpoint=http://h/")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parse(text)
		if err != nil {
			if at := strings.Index(text, "hidden-word"); at >= 0 && strings.Contains(err.Error(), "hidden-word") && strings.Contains(text[at:], "@") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		key := a.key("sha256", "00")
		if !strings.HasSuffix(key, "sha256/00") || strings.Contains(key, "..") && strings.Contains(key, "/../") || strings.HasPrefix(key, "/") || a.endpoint == "" {
			t.Errorf("%q: key %q, %+v", text, key, a)
		}
	})
}

// TestPrintable shows a text of a server as it stands in an error.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31m\nb" + strings.Repeat("é", 300)); strings.ContainsAny(got, "\x1b\n") || len(got) > mostMessage+10 {
		t.Errorf("%q", got)
	}
}
