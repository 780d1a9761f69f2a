package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/segpull/segpull"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1024: "1.0 KiB",
		102297: "99.9 KiB", 102370: "100 KiB", 999 * 1024: "999 KiB", 1023590: "1.0 MiB",
		29569844: "28.2 MiB", 1 << 40: "1.0 TiB", math.MaxInt64: "8.0 EiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0ms", 40 * time.Millisecond: "40ms", 3100 * time.Millisecond: "3.1s", 9960 * time.Millisecond: "10s", 42 * time.Second: "42s",
		59700 * time.Millisecond: "1m00s", 185 * time.Second: "3m05s", 3599700 * time.Millisecond: "1h00m",
		125 * time.Minute: "2h05m", 99 * time.Hour: "4d03h", 1e6 * time.Hour: ">99d",
	} {
		if got := durationText(d); got != want || len(got) > 6 {
			t.Errorf("durationText(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestPercentIsNotHundredBeforeTheEnd(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, "0%"}, {0, 10, "0%"}, {999, 1000, "99%"}, {1000, 1000, "100%"}, {math.MaxInt64 / 2, math.MaxInt64, "50%"},
	} {
		if got := percent(c.done, c.total); got != c.want {
			t.Errorf("percent(%d, %d) = %s, want %s", c.done, c.total, got, c.want)
		}
	}
}

func TestResolvedLineNamesTheResolver(t *testing.T) {
	for source, want := range map[string]string{
		"aliyun": "a:1 is sha256:0123 by aliyun: linux/amd64, 1.0 MiB",
		"":       "a:1 is sha256:0123: linux/amd64, 1.0 MiB",
	} {
		e := segpull.Resolved{Reference: "a:1", Digest: "sha256:0123", Source: source, Platform: "linux/amd64", Size: mib}
		if got := resolvedLine(e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		result segpull.Result
		want   string
	}{
		{testFinished().Result, "ubuntu:22.04: 39.0 MiB in 4.3s (9.1 MiB/s) from aliyun 67%, docker.io 33%; 1.0 MiB were there already; docker has it as docker.io/library/ubuntu:22.04"},
		{
			segpull.Result{Reference: "a", Fetched: mib, Duration: segpull.Duration{Duration: time.Minute}, Sources: []segpull.SourceShare{{Name: "s", Bytes: mib}}},
			"a: 1.0 MiB in 1m00s (17.1 KiB/s) from s 100%",
		},
		{
			segpull.Result{Reference: "a", Fetched: 40 * mib, FetchedTwice: mib, Resumed: mib, Duration: segpull.Duration{Duration: time.Second}},
			"a: 40.0 MiB in 1.0s (40.0 MiB/s); 1.0 MiB came twice; 1.0 MiB were there already",
		},
		{segpull.Result{Reference: "a", Path: "a.tar", Resumed: mib, UpToDate: true}, "a: a.tar is up to date"},
		{segpull.Result{Reference: "a", Resumed: mib}, "a: done, all 1.0 MiB were there already"},
	} {
		if got := summary(c.result); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestTheSummarySaysWhatCameTwice(t *testing.T) {
	for _, c := range []struct {
		fetched, twice int64
		want           bool
	}{
		{mib, 0, false},
		{100 << 10, 63 << 10, false},
		{100 << 10, 64 << 10, true},
		{30 * mib, 300 << 10, false},
		{30 * mib, 310 << 10, true},
		{10 << 30, mib - 1, false},
		{10 << 30, mib, true},
	} {
		got := summary(segpull.Result{Fetched: c.fetched, FetchedTwice: c.twice})
		if strings.Contains(got, "came twice") != c.want {
			t.Errorf("%d of %d bytes: %s", c.twice, c.fetched, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"a\nb\r\nc\n":           "a; b; c",
		"a\tb\x00\u202ec\u009b": "a bc",
		" two  spaces ":         "two  spaces",
	} {
		if got := oneLine(s); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", s, got, want)
		}
	}
}
