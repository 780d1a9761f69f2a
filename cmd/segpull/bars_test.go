package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cheggaaa/pb/v3"

	"github.com/segpull/segpull"
)

const mib = 1 << 20

// Digests as they look, one digit repeated.
func testDigest(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func testResolved() segpull.Resolved {
	return segpull.Resolved{
		Reference: "ubuntu:22.04", Digest: testDigest("0"), Platform: "linux/amd64", Source: "docker.io",
		Path: "ubuntu_22.04_linux_amd64.tar", Size: 40 * mib,
		Blobs: []segpull.BlobInfo{
			{Digest: testDigest("1"), Size: mib},
			{Digest: testDigest("2"), Size: 28.5 * mib},
			{Digest: testDigest("3"), Size: 10 * mib},
			{Digest: testDigest("4"), Size: 0.5 * mib},
		},
	}
}

// testProgress has a blob for each state: done, in flight, being verified,
// and not begun.
func testProgress() segpull.Progress {
	return segpull.Progress{
		Reference: "ubuntu:22.04", Done: 18 * mib, Total: 40 * mib, Resumed: mib,
		Rate: 91 * mib / 10, Remaining: segpull.Duration{Duration: 2400 * time.Millisecond},
		Blobs: []segpull.BlobProgress{
			{Digest: testDigest("1"), Done: mib, Verified: mib, Size: mib},
			{Digest: testDigest("2"), Done: 7 * mib, Verified: 5 * mib, Size: 28.5 * mib},
			{Digest: testDigest("3"), Done: 10 * mib, Verified: 9 * mib, Size: 10 * mib},
			{Digest: testDigest("4"), Size: 0.5 * mib},
		},
		Sources: []segpull.SourceProgress{
			{Name: "aliyun", Bytes: 11 * mib, Rate: 61 * mib / 10, Connections: 4, State: "active"},
			{Name: "docker.io", Bytes: 6 * mib, Rate: 3 * mib, Connections: 2, State: "active"},
			{Name: "daocloud", State: "cooling"},
		},
	}
}

// testSending is a sample of an image on its way to an engine.
func testSending(done int64) segpull.Sending {
	return segpull.Sending{Reference: "ubuntu:22.04", To: "docker", Done: done, Total: 40 * mib, Rate: 3 * mib}
}

func testFinished() segpull.Finished {
	return segpull.Finished{Result: segpull.Result{
		Reference: "ubuntu:22.04", Digest: testDigest("0"), ImageID: testDigest("1"),
		Path: "ubuntu_22.04_linux_amd64.tar", Platform: "linux/amd64",
		Size: 40 * mib, Fetched: 39 * mib, Resumed: mib, Duration: segpull.Duration{Duration: 4300 * time.Millisecond},
		Delivered: []segpull.Delivery{{To: "docker", Name: "docker.io/library/ubuntu:22.04", Digest: testDigest("5")}},
		Sources: []segpull.SourceShare{
			{Name: "aliyun", Bytes: 26 * mib}, {Name: "docker.io", Bytes: 13 * mib}, {Name: "daocloud"},
		},
	}}
}

func newTestBars(width, height int) (*vt, *bars) {
	t := &vt{width: width, height: height}
	return t, newBars(&screen{out: t, size: t.size}, false, []string{"ubuntu:22.04"})
}

func wantScreen(t *testing.T, term *vt, want string) {
	t.Helper()
	if got := term.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("the screen shows\n%s\ninstead of%s", got, want)
	}
}

func TestBarsAt80Columns(t *testing.T) {
	term, b := newTestBars(80, 24)
	wantScreen(t, term, `
resolving ubuntu:22.04
`)
	b.show(time.Time{}, segpull.Waiting{Reference: "ubuntu:22.04", Sources: []string{"daocloud"}})
	wantScreen(t, term, `
resolving ubuntu:22.04: waiting for daocloud ...
`)
	b.show(time.Time{}, testResolved())
	wantScreen(t, term, `
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
ubuntu:22.04        [               ]   0% of 40.0 MiB       0 B/s
`)
	b.show(time.Time{}, testProgress())
	wantScreen(t, term, `
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
sha256:222222222222 [===>           ]  24% of 28.5 MiB
sha256:333333333333 [==============>] 100% of 10.0 MiB check
ubuntu:22.04        [======>        ]  45% of 40.0 MiB   9.1 MiB/s  2s left
from aliyun 6.1 MiB/s, docker.io 3.0 MiB/s, daocloud cooling
`)
	b.show(time.Time{}, segpull.Warning{Message: "mirror daocloud gave up; remove it"})
	b.show(time.Time{}, segpull.Trouble{Source: "aliyun", Message: "connection reset; trying again"})
	wantScreen(t, term, `
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
segpull: warning: mirror daocloud gave up; remove it
segpull: aliyun: connection reset; trying again
sha256:222222222222 [===>           ]  24% of 28.5 MiB
sha256:333333333333 [==============>] 100% of 10.0 MiB check
ubuntu:22.04        [======>        ]  45% of 40.0 MiB   9.1 MiB/s  2s left
from aliyun 6.1 MiB/s, docker.io 3.0 MiB/s, daocloud cooling
`)
	b.show(time.Time{}, testSending(10*mib))
	wantScreen(t, term, `
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
segpull: warning: mirror daocloud gave up; remove it
segpull: aliyun: connection reset; trying again
sha256:222222222222 [===>           ]  24% of 28.5 MiB
sha256:333333333333 [==============>] 100% of 10.0 MiB check
ubuntu:22.04        [======>        ]  45% of 40.0 MiB   9.1 MiB/s  2s left
..u:22.04 to docker [===>           ]  25% of 40.0 MiB   3.0 MiB/s
from aliyun 6.1 MiB/s, docker.io 3.0 MiB/s, daocloud cooling
`)
	b.show(time.Time{}, testFinished())
	wantScreen(t, term, `
ubuntu:22.04 is sha256:000000000000 by docker.io: linux/amd64, 40.0 MiB
segpull: warning: mirror daocloud gave up; remove it
segpull: aliyun: connection reset; trying again
ubuntu:22.04: 39.0 MiB in 4.3s (9.1 MiB/s) from aliyun 67%, docker.io 33%; 1.0 M
iB were there already; docker has it as docker.io/library/ubuntu:22.04
`)
}

func TestBarsAt60Columns(t *testing.T) {
	term, b := newTestBars(60, 24)
	b.show(time.Time{}, testProgress())
	wantScreen(t, term, `
sha256:222222222222 [=>     ]  24%
sha256:333333333333 [======>] 100% check
ubuntu:22.04        [===>   ]  45%   9.1 MiB/s  2s left
from aliyun 6.1 MiB/s, docker.io 3.0 MiB/s, daocloud cool..
`)
}

func TestBarsAt40Columns(t *testing.T) {
	term, b := newTestBars(40, 24)
	b.show(time.Time{}, testProgress())
	wantScreen(t, term, `
sha256:222222222222 [=>   ]  24%
sha256:333333333333 [====>] 100% check
ubuntu:22.04        [==>  ]  45% 2s
from aliyun 6.1 MiB/s, docker.io 3.0..
`)
}

// Chinese and emoji are two cells wide.
func TestBarsWithWideCharacters(t *testing.T) {
	p := testProgress()
	p.Sources[0].Name, p.Sources[1].Name = "办公室镜像", "🐳"
	term, b := newTestBars(40, 24)
	b.show(time.Time{}, segpull.Waiting{Reference: "ubuntu:22.04", Sources: []string{"办公室镜像", "阿里云"}})
	wantScreen(t, term, `
resolving ubuntu:22.04: waiting for..
`)
	b.show(time.Time{}, segpull.Warning{Message: "镜像站返回了错误的字节，请从配置中删除该镜像，或者告知其运营者"})
	b.show(time.Time{}, p)
	const bars = `
sha256:222222222222 [=>   ]  24%
sha256:333333333333 [====>] 100% check
ubuntu:22.04        [==>  ]  45% 2s
`
	const warning = "\nsegpull: warning: 镜像站返回了错误的字节\n，请从配置中删除该镜像，或者告知其运营者"
	wantScreen(t, term, warning+bars+"from 办公室镜像 6.1 MiB/s, 🐳 3.0 MiB..\n")
	wantLinesFit(t, p)
}

// wantLinesFit shows p on terminals of all widths.
func wantLinesFit(t *testing.T, p segpull.Progress) {
	t.Helper()
	for width := 1; width <= 200; width++ {
		_, b := newTestBars(width, 24)
		b.show(time.Time{}, p)
		for _, line := range b.screen.lines {
			if n := pb.CellCount(line); n >= max(width, 4) {
				t.Errorf("width %d: a line of %d cells: %q", width, n, line)
			}
		}
	}
}

func TestBarsNeverWrap(t *testing.T) {
	p := testProgress()
	p.Reference = "registry.example.com:5000/a/very/long/repository/name:with-a-tag"
	p.Rate, p.Remaining.Duration = 999*mib/10, 59*time.Minute+59*time.Second
	for width := 1; width <= 200; width++ {
		term, b := newTestBars(width, 24)
		b.show(time.Time{}, p)
		for _, line := range b.screen.lines {
			if n := len([]rune(line)); n >= max(width, 4) {
				t.Errorf("width %d: a line of %d cells: %q", width, n, line)
			}
		}
		if width > 4 && len(term.rows) != 5 {
			t.Errorf("width %d: %d rows instead of four lines and the cursor:\n%s", width, len(term.rows), term)
		}
	}
}

func TestBarsLeaveRoomForTheCursor(t *testing.T) {
	p := testProgress()
	for i := range 20 {
		p.Blobs = append(p.Blobs, segpull.BlobProgress{Digest: testDigest("5"), Done: 1, Size: int64(i) + 2})
	}
	for height, want := range map[int]int{1: 0, 2: 1, 3: 2, 6: 5, 10: 9, 11: 10, 50: mostBars + 2} {
		_, b := newTestBars(80, height)
		b.show(time.Time{}, p)
		if got := len(b.screen.lines); got != want {
			t.Errorf("%d lines on a terminal of %d rows, want %d", got, height, want)
		}
	}
}

func TestBarsFollowAResize(t *testing.T) {
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, segpull.Warning{Message: "stays"})
	b.show(time.Time{}, testProgress())
	term.resize(40)
	b.show(time.Time{}, testProgress())
	wantScreen(t, term, `
segpull: warning: stays
sha256:222222222222 [=>   ]  24%
sha256:333333333333 [====>] 100% check
ubuntu:22.04        [==>  ]  45% 2s
from aliyun 6.1 MiB/s, docker.io 3.0..
`)
}

func TestBarsAreClearedWhenAPullFails(t *testing.T) {
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, testProgress())
	b.close()
	wantScreen(t, term, "")
}

func TestBarsOfAListGoOnAfterAFailure(t *testing.T) {
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, segpull.Failed{Reference: "nothing:1", Message: "nothing:1: no such image"})
	b.show(time.Time{}, testProgress())
	b.show(time.Time{}, segpull.Failed{Reference: "ubuntu:22.04", Message: "ubuntu:22.04: no source is left"})
	wantScreen(t, term, "segpull: nothing:1: no such image\nsegpull: ubuntu:22.04: no source is left\n")
}

func TestBarsOfSeveralImages(t *testing.T) {
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, testProgress())
	b.show(time.Time{}, segpull.Progress{Reference: "ghcr.io/owner/repository:v1", Total: 2 * mib, Remaining: segpull.Duration{Duration: -1}})
	wantScreen(t, term, `
sha256:222222222222 [===>           ]  24% of 28.5 MiB
sha256:333333333333 [==============>] 100% of 10.0 MiB check
ubuntu:22.04        [======>        ]  45% of 40.0 MiB   9.1 MiB/s  2s left
..ner/repository:v1 [               ]   0% of  2.0 MiB       0 B/s
`)
}

func TestBarsPrintNoOrdersOfAServer(t *testing.T) {
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, segpull.Warning{Message: "\x1b]0;title\a\x1b[2Jgone\r\nfaked"})
	wantScreen(t, term, "segpull: warning: ]0;title[2Jgone; faked\nresolving ubuntu:22.04\n")
}
