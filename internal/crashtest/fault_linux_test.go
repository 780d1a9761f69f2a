package crashtest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/segpull/segpull/internal/pulltest"
)

// Any system call on files may fail: the disk is full, the quota is reached, the disk is
// broken or suddenly read-only, or no descriptor is free. A pull then succeeds anyway, or
// fails with an error and leaves no output. The next pull succeeds, and fetches no bytes
// again that could be kept.
func TestAnyCallOfTheSystemMayFail(t *testing.T) {
	t.Parallel()
	img := pulltest.ImageOf(1, 6*mib, 2*mib)
	errors := []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EMFILE}
	for _, format := range []string{"docker-archive", "legacy", "oci"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			m := pulltest.Serve(t, 1, img)
			s := &story{T: t, Mirrors: m, img: img}
			s.watched = watched{Mirrors: m.URLs, Output: filepath.Join(memory(t), "app"), Format: format}
			calls := s.start(t).ended
			s.right = files(t, s.Output)
			failed := 0
			for range 25 {
				pulltest.Must(t, os.RemoveAll(s.Output))
				call, with := 1+rand.IntN(calls), errors[rand.IntN(len(errors))]
				before := s.sent()
				s.fail, s.with = call, with
				r := s.start(t)
				s.check(exists(s.Output))
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
				// The bytes in socket buffers at the failure are lost.
				if sent := s.sent() - before; sent > pulltest.BlobsOf(img)+4*mib {
					t.Errorf("after call %d had failed with %q: %d bytes were sent for %d", call, with, sent, pulltest.BlobsOf(img))
				}
			}
			if failed == 0 {
				t.Error("no failure had consequences")
			}
		})
	}
}
