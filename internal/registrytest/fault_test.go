package registrytest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// statuses asks n times for the blob, and returns the statuses.
func statuses(t *testing.T, address string, n int) string {
	t.Helper()
	c := newClient(t)
	var got []string
	for range n {
		got = append(got, fmt.Sprint(ask(t, c, http.MethodGet, address).Status))
	}
	return strings.Join(got, " ")
}

func TestFaultsApplyToTheChosenRequests(t *testing.T) {
	b := RandomBlob(1, 10)
	odd := func(r *http.Request) bool { return r.URL.Query().Get("odd") != "" }
	tests := map[string]struct {
		faults []Fault
		query  string
		want   string
	}{
		"always":                {[]Fault{Status(503)}, "", "503 503 503 503 503 503"},
		"after":                 {[]Fault{Status(503).After(4)}, "", "200 200 200 200 503 503"},
		"times":                 {[]Fault{Status(503).Times(2)}, "", "503 503 200 200 200 200"},
		"every":                 {[]Fault{Status(503).Every(3)}, "", "200 200 503 200 200 503"},
		"in any order":          {[]Fault{Status(503).Times(1).Every(2).After(1)}, "", "200 200 503 200 200 200"},
		"never":                 {[]Fault{Status(503).Sometimes(0)}, "", "200 200 200 200 200 200"},
		"other kinds":           {[]Fault{Status(503).On(KindManifest)}, "", "200 200 200 200 200 200"},
		"other blobs":           {[]Fault{Status(503).Of(RandomBlob(2, 10).Digest)}, "", "200 200 200 200 200 200"},
		"this blob":             {[]Fault{Status(503).Of(b.Digest)}, "", "503 503 503 503 503 503"},
		"no match":              {[]Fault{Status(503).When(odd)}, "", "200 200 200 200 200 200"},
		"match":                 {[]Fault{Status(503).When(odd)}, "?odd=1", "503 503 503 503 503 503"},
		"until served":          {[]Fault{Status(202).Times(1), Status(503).After(1).UntilServed()}, "", "202 200 200 200 200 200"},
		"the first wins":        {[]Fault{Status(500).Every(2), Status(503)}, "", "503 500 503 500 503 500"},
		"several as one":        {[]Fault{All(Status(500).Times(1), Status(503).Times(1)).After(1)}, "", "200 500 503 200 200 200"},
		"counts what it is for": {[]Fault{Status(503).Times(1).When(odd).After(0)}, "", "200 200 200 200 200 200"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg, address := serveBlob(t, b)
			reg.Misbehave(tt.faults...)
			if got := statuses(t, address+tt.query, 6); got != tt.want {
				t.Errorf("statuses are %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFaultsLeaveOtherRequestsAlone(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	base, _, _ := strings.Cut(address, "/v2/")
	reg.Misbehave(Status(503))
	if a := get(t, base+"/v2/"); a.Status != 200 {
		t.Errorf("ping's status is %d, want 200", a.Status)
	}
	if a := ask(t, newClient(t), http.MethodHead, address); a.Status != 200 {
		t.Errorf("HEAD's status is %d, want 200", a.Status)
	}
	reg.Misbehave(Status(503).On())
	if a := get(t, base+"/v2/"); a.Status != 503 {
		t.Errorf("ping's status is %d with a fault on all, want 503", a.Status)
	}
}

func TestRandomFaultsAreTheSameForEachServer(t *testing.T) {
	b := RandomBlob(1, 10)
	fault := Status(503).Sometimes(0.3)
	var runs []string
	for range 2 {
		reg, address := serveBlob(t, b)
		reg.Misbehave(fault)
		runs = append(runs, statuses(t, address, 100))
	}
	if runs[0] != runs[1] {
		t.Error("two servers with the same fault answered differently")
	}
	if n := strings.Count(runs[0], "503"); n < 20 || n > 40 {
		t.Errorf("%d of 100 requests failed, want about 30", n)
	}
}

func TestWrapMakesAFaultOfAnyHandler(t *testing.T) {
	reg, address := serveBlob(t, RandomBlob(1, 10))
	reg.Misbehave(Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Teapot", "yes")
			next.ServeHTTP(w, r)
		})
	}).Times(1))
	if a := get(t, address); a.Header.Get("X-Teapot") != "yes" {
		t.Errorf("headers are %v", a.Header)
	}
}
