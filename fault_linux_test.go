package segpull_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Any call that concerns files may fail: the disk is full, or the user's share
// of it, or it is broken, read-only all at once, or descriptors have run out. A
// pull then ends right all the same, or says so and leaves no output; and the
// next one ends right, having fetched nothing twice that could be kept.
func TestAnyCallOfTheSystemMayFail(t *testing.T) {
	img := imageOf(1, 6*mib, 2*mib)
	errors := []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EMFILE}
	for _, format := range []string{"docker-archive", "legacy", "oci"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			m := serve(t, 1, img)
			s := &story{T: t, mirrors: m, img: img}
			s.watched = watched{Mirrors: m.urls, Output: filepath.Join(memory(t), "app"), Format: format}
			calls := s.start(t).ended
			s.right = files(t, s.Output)
			failed := 0
			for range 25 {
				must(t, os.RemoveAll(s.Output))
				call, with := 1+rand.IntN(calls), errors[rand.IntN(len(errors))]
				before := s.sent()
				s.fail, s.with = call, with
				r := s.start(t)
				s.check(stands(s.Output))
				s.fail = 0
				if r.ended > 0 {
					continue
				}
				failed++
				if !strings.Contains(r.err, with.Error()) {
					t.Errorf("call %d failed with %q, and the pull said %q", call, with, r.err)
				}
				if r = s.start(t); r.ended == 0 {
					t.Errorf("after call %d had failed with %q: %s", call, with, r.err)
				}
				s.check(true)
				// What stands in socket buffers at the failure is lost.
				if sent := s.sent() - before; sent > blobsOf(img)+4*mib {
					t.Errorf("after call %d had failed with %q: %d bytes were sent for %d", call, with, sent, blobsOf(img))
				}
			}
			if failed == 0 {
				t.Error("no failure had consequences")
			}
		})
	}
}
