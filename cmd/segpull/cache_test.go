package main

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/cache"
)

func TestTheListFitsATerminal(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("long-", 12) + "name"
	l := cache.Listing{
		Size: 5 << 30, Unfinished: 2 << 20, Blobs: make([]cache.Blob, 40),
		Images: []cache.Image{
			{Registry: "docker.io", Repository: "library/app", Tag: "1", Digest: digest.FromString("1"), Size: 99<<20 + 900<<10, Complete: true, LastUsed: now.Add(-59*time.Minute - 58*time.Second)},
			{Registry: "registry.example:5000", Repository: "team/" + long, Tag: "22.04", Digest: digest.FromString("2"), Size: 1, LastUsed: now},
		},
	}
	lines := strings.Split(listText(l, "/cache", now), "\n")
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	for i, want := range []string{
		"IMAGE                                  DIGEST                   SIZE  USED",
		"app:1                                  " + shortDigest(digest.FromString("1").String()) + "  99.9 MiB  59m58s ago",
		"..long-long-long-long-long-name:22.04  sha256:",
		"2 images, 40 blobs, 5.0 GiB, and 2.0 MiB of unfinished blobs, in /cache",
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is\n%s, want\n%s", i, lines[i], want)
		}
	}
	if !strings.HasSuffix(lines[2], "       1 B  incomplete") {
		t.Error(lines[2])
	}
}
