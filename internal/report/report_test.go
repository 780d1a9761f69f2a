package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segpull/segpull"
)

const mib = 1 << 20

var (
	layer  = "sha256:" + strings.Repeat("1", 64)
	config = "sha256:" + strings.Repeat("2", 64)
)

func duration(d time.Duration) segpull.Duration { return segpull.Duration{Duration: d} }

func progress(done int64, sources ...segpull.SourceProgress) segpull.Progress {
	return segpull.Progress{Reference: "app:1", Done: done, Total: 10 * mib, Sources: sources}
}

// recorded is a pull from three mirrors: one works, one pauses and stalls, one sends
// wrong bytes.
func recorded() *Recorder {
	r := New()
	time.Sleep(time.Second)
	r.Observe(segpull.Resolved{
		Reference: "app:1", Digest: layer, Platform: "linux/amd64", Path: "app.tar", Size: 10 * mib,
		Blobs: []segpull.BlobInfo{{Digest: config, Size: 1000}, {Digest: layer, Size: 10*mib - 1000}},
	})
	time.Sleep(time.Second)
	r.Observe(segpull.Request{Source: "slow", Digest: layer, End: mib, Bytes: 100, Waited: duration(time.Second), Duration: duration(time.Second), Error: "503 <busy>"})
	r.Observe(segpull.Trouble{Source: "slow", Message: "503 <busy>"})
	r.Observe(segpull.Request{Source: "fast", Digest: layer, End: 4 * mib, Bytes: 4 * mib, Waited: duration(100 * time.Millisecond), Duration: duration(time.Second)})
	r.Observe(progress(4*mib,
		segpull.SourceProgress{Name: "fast", Bytes: 4 * mib, State: "active"},
		segpull.SourceProgress{Name: "slow", Bytes: 100, State: "cooling"},
		segpull.SourceProgress{Name: "wrong", State: "waiting"}))
	time.Sleep(10 * time.Second)
	r.Observe(segpull.Stalled{Reference: "app:1", Silent: duration(10 * time.Second), Reasons: []string{"slow: silent"}})
	r.Observe(segpull.Corrupt{Source: "wrong", Proof: "it sent other bytes"})
	time.Sleep(time.Second)
	r.Observe(progress(10*mib,
		segpull.SourceProgress{Name: "fast", Bytes: 10 * mib, State: "active"},
		segpull.SourceProgress{Name: "slow", Bytes: 100, State: "waiting"},
		segpull.SourceProgress{Name: "wrong", State: "off"}))
	return r
}

func write(t *testing.T, r *Recorder, o Outcome) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantText(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(page, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

func TestThePageTellsThePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorded()
		r.Observe(segpull.Finished{Result: segpull.Result{Reference: "app:1", Fetched: 10 * mib, Delivered: []segpull.Delivery{
			{To: "docker", Name: "docker.io/library/app:1"}, {To: "harbor.example", Name: "harbor.example/team/app:1"},
		}}})
		page := write(t, r, Outcome{Args: []string{"-m", "fast", "app:1"}})
		wantText(t, page,
			"<h1>segpull: app:1</h1>", "Complete after 13s.", "<td>complete</td>", "<td>linux/amd64</td>",
			"<td>app.tar<br>docker: docker.io/library/app:1<br>harbor.example/team/app:1</td>",
			"fast: 10 MiB, 1 request", "slow: 100 B, 1 request, 1 problem", "wrong: 0 B, 0 requests, sent wrong bytes",
			"503 &lt;busy&gt;", "no byte from slow: silent", "wrong bytes: it sent other bytes",
			"slow is cooling from 2s on", "wrong is off from 13s on", "no byte from any mirror",
			"fast: 4 MiB from 0 B on", "fast at 2s: 4 MiB/s", "fast at 13s: 6 MiB/s",
			"at 1s: 4 MiB of sha256:111111111111 at 0 B; answer after 100ms, 4 MiB in 1s",
			"<pre>segpull -m fast app:1</pre>")
		// The order is that of the pull's mirrors, not that of the first event.
		if strings.Index(page, "fast: 10 MiB") > strings.Index(page, "slow: 100 B") {
			t.Error("slow is before fast")
		}
		// The stall ends with the next byte.
		if band := regexp.MustCompile(`<rect x="([\d.]+)" y="9.0" width="([\d.]+)"[^>]* class="stall"`).FindStringSubmatch(page); band == nil || band[1] != "153.2" || band[2] != "798.8" {
			t.Errorf("the stall is %v", band)
		}
	})
}

func TestThePageOfAFailedPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := write(t, recorded(), Outcome{Failure: "app:1: no byte for 5m"})
		wantText(t, page, "Failed after 13s: app:1: no byte for 5m", "<td>incomplete</td>")
		page = write(t, New(), Outcome{Failure: "no such image", Args: []string{"it's"}})
		wantText(t, page, "Failed after 0s: no such image", `<pre>segpull &#39;it&#39;\&#39;&#39;s&#39;</pre>`)
	})
}

// The page loads nothing and runs nothing, and its pictures are well-formed.
func TestThePageIsSelfContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := write(t, recorded(), Outcome{})
		wantText(t, page, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`, "prefers-color-scheme: dark")
		if found := regexp.MustCompile(`(?i)<script|\son\w+=|url\(|@import|\b(src|href)=|<link|<iframe`).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
		pictures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
		if len(pictures) < 3 {
			t.Errorf("%d pictures", len(pictures))
		}
		for _, p := range pictures {
			d := xml.NewDecoder(strings.NewReader(p))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in\n%.500s", err, p)
				}
			}
			if strings.Contains(p, "NaN") || strings.Contains(p, "Inf") || strings.Contains(p, `width="-`) {
				t.Errorf("not a number: %.2000s", p)
			}
		}
	})
}

func TestThePageHasNoSecrets(t *testing.T) {
	r := New()
	for _, text := range []string{
		"Get https://user:hunter2@host/v2/?X-Amz-Signature=hunter2: refused",
		"proxy http://hunter2@proxy:3128 refused", "401: Bearer hunter2.hunter2", "Authorization: Basic aHVudGVyMg==hunter2",
		"token=hunter2&x", `{"access_token": "x", "password": hunter2}`, "\x1b]0;hunter\x07",
	} {
		r.Observe(segpull.Warning{Message: text})
		r.Observe(segpull.Trouble{Source: "host", Message: text})
		r.Observe(segpull.Corrupt{Source: "host", Proof: text})
		r.Observe(segpull.Request{Source: "host", Digest: layer, End: 5, Error: text, Duration: duration(time.Second)})
		r.Observe(segpull.Failed{Reference: text, Message: text})
	}
	page := write(t, r, Outcome{Failure: "https://user:hunter2@host refused", Args: []string{"-m", "https://user:hunter2@host/"}})
	if i := strings.Index(page, "hunter2"); i >= 0 {
		t.Errorf("the page has a secret: %s", page[max(0, i-80):i+20])
	}
	if strings.ContainsAny(page, "\x1b\x07") {
		t.Error("the page has control characters")
	}
}

func TestCommandLine(t *testing.T) {
	for arg, want := range map[string]string{
		"app:1":                                   "app:1",
		"a b":                                     "'a b'",
		"":                                        "''",
		"https://mirror.example/prefix":           "https://mirror.example/prefix",
		"--mirror=https://u:p@mirror.example/a":   "--mirror=https://mirror.example/a",
		"https://mirror.example/a?token=x#y":      "https://mirror.example/a",
		"https://u:p/q@mirror.example/a":          "https://mirror.example/a",
		"https://u:p?q@mirror.example/a":          "https://mirror.example/a",
		"user:secret@mirror.example":              "mirror.example",
		"--mirror=user:secret@mirror.example":     "--mirror=mirror.example",
		"app:1@sha256:" + strings.Repeat("0", 64): "app:1@sha256:" + strings.Repeat("0", 64),
		"/srv/me@home/out":                        "/srv/me@home/out",
		"--limit-rate=2M@08:00-18:00,8M@18:00":    "--limit-rate=2M@08:00-18:00,8M@18:00",
		"2M@08:00-18:00,unlimited":                "2M@08:00-18:00,unlimited",
		"socks5://me:secret@proxy.example:1080":   "socks5://proxy.example:1080",
		"HTTPS://u:p@mirror.example":              "HTTPS://mirror.example",
	} {
		if got := commandLine([]string{arg}); got != "segpull "+want {
			t.Errorf("%s: %s, want segpull %s", arg, got, want)
		}
	}
}

// A long pull with many requests, problems and messages has a page of moderate size.
func TestThePageIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		r.Observe(segpull.Resolved{Reference: "app:1", Blobs: []segpull.BlobInfo{{Digest: layer, Size: 1 << 40}}})
		var done int64
		for i := range int64(mostRequests + 10) {
			time.Sleep(time.Second)
			name := fmt.Sprint("mirror", i%3)
			r.Observe(segpull.Request{Source: name, Digest: layer, Start: i * mib, End: i*mib + mib, Bytes: mib, Duration: duration(20 * time.Second)})
			r.Observe(segpull.Trouble{Source: name, Message: fmt.Sprint("problem ", i)})
			if done += mib; i%50 == 0 {
				r.Observe(progress(done, segpull.SourceProgress{Name: name, Bytes: done, State: []string{"off", "active"}[i/50%2]}))
			}
		}
		page := write(t, r, Outcome{})
		if len(page) > 8*mib {
			t.Errorf("the page has %d bytes", len(page))
		}
		wantText(t, page, "10 later requests are not drawn", fmt.Sprintf("and %d more", mostRequests+10-mostMessages))
	})
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	for range 2 {
		if err := New().WriteFile(path, Outcome{}); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(page), "</html>\n") {
		t.Errorf("%d bytes, %v", len(page), err)
	}
	if err := New().WriteFile(filepath.Join(path, "report.html"), Outcome{}); err == nil {
		t.Error("a file in a file was written")
	}
}

// A password in a mirror's URL is not in the command, whatever its characters.
func FuzzCommandLine(f *testing.F) {
	for _, password := range []string{"secret", "a/b@c?d#e", "%zz ", "[::1]", "://x@"} {
		f.Add(password)
	}
	f.Fuzz(func(t *testing.T, password string) {
		const mark = "SECRET" // that any part of the password is followed by
		var secret strings.Builder
		for _, r := range password {
			secret.WriteRune(r)
			secret.WriteString(mark)
		}
		for _, form := range []string{"https://user:%s@mirror.example/prefix", "--mirror=http://%s@mirror.example", "-mhttps://user:%s@mirror.example?x=y"} {
			if got := commandLine([]string{fmt.Sprintf(form, secret.String())}); strings.Contains(got, mark) {
				t.Errorf("%q: %s", secret.String(), got)
			}
		}
	})
}
