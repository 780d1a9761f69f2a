package segpull_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/segpull/segpull"
)

// In a folder as /tmp, another user's file is in the way, and that is told
// before anything is fetched.
func TestAnotherUsersFileIsNotToBeReplaced(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	m := serve(t, 1, imageOf(1, 4*kib))
	dir := t.TempDir()
	out := filepath.Join(dir, "app.tar")
	must(t, os.WriteFile(out, nil, 0o644))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, os.ModeSticky|0o777))
	must(t, syscall.Seteuid(12345))
	_, err := m.pull(t, segpull.Options{Output: out})
	must(t, syscall.Seteuid(0))
	wantCode(t, err, 1, "another user's", "--output")
	if m.served() > 0 {
		t.Error("it was fetched first")
	}
}
