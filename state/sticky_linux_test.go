package state

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// In a directory such as /tmp, Replaceable agrees with the kernel.
func TestReplaceable(t *testing.T) {
	const me, other = 12345, 12346
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	tests := []struct {
		name      string
		mode      os.FileMode
		dir, file int // owners
		want      bool
	}{
		{"another's", os.ModeSticky | 0o777, other, other, false},
		{"root's", os.ModeSticky | 0o777, 0, 0, false},
		{"mine", os.ModeSticky | 0o777, other, me, true},
		{"another's in my directory", os.ModeSticky | 0o777, me, other, true},
		{"another's, without the bit", 0o777, other, other, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Chmod(filepath.Dir(dir), 0o755))
			must(t, os.Chown(dir, tt.dir, -1))
			must(t, os.Chmod(dir, tt.mode))
			file, fresh := filepath.Join(dir, "x.tar"), filepath.Join(dir, "fresh")
			for name, owner := range map[string]int{file: tt.file, fresh: me} {
				must(t, os.WriteFile(name, nil, 0o644))
				must(t, os.Chown(name, owner, -1))
			}
			if !Replaceable(file) {
				t.Error("root may not replace it")
			}
			must(t, syscall.Seteuid(me))
			got, err := Replaceable(file), os.Rename(fresh, file)
			must(t, syscall.Seteuid(0))
			if got != tt.want || got != (err == nil) {
				t.Errorf("Replaceable() = %v, want %v; rename: %v", got, tt.want, err)
			}
		})
	}
}
