package sources

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAdviceAboutCertificates(t *testing.T) {
	named := &x509.Certificate{DNSNames: []string{"portal.example"}}
	expired := x509.CertificateInvalidError{Cert: &x509.Certificate{NotAfter: time.Unix(0, 0)}, Reason: x509.Expired}
	for _, test := range []struct {
		err  error
		want string // "" for no advice
	}{
		{x509.UnknownAuthorityError{}, "give its certificate with ca"},
		{expired, "clock"},
		{x509.HostnameError{Certificate: named, Host: "a.example"}, "captive portal"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a.example"}, "subject alternative names"},
		{x509.CertificateInvalidError{Cert: named, Reason: x509.IncompatibleUsage}, ""},
	} {
		got := certificateAdvice(test.err, "a.example")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%T: %q, want %q", test.err, got, test.want)
		}
	}
}

func TestDirectoriesOfAHost(t *testing.T) {
	for host, want := range map[string][]string{
		"a.example":            {"a.example", "a.example:443"},
		"A.example:443":        {"a.example:443", "a.example", "a.example_443_"},
		"a.example:5000":       {"a.example:5000", "a.example_5000_"},
		"[::1]:5000":           {"[::1]:5000", "::1_5000_"},
		"registry-1.docker.io": {"registry-1.docker.io", "docker.io", "registry-1.docker.io:443"},
	} {
		if got := hostDirectories(host); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}
