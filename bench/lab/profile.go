package lab

import (
	"context"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/segpull/segpull"
)

// Profile pulls a case's image from its first mirror in this process, and
// writes a CPU profile of that to a file.
func (l *Lab) Profile(ctx context.Context, c Case, path string) error {
	i, err := l.image(ctx, c)
	if err != nil {
		return err
	}
	s, err := setUp(c, i)
	if err != nil {
		return err
	}
	defer s.close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	archive := filepath.Join(l.Dir, "profiled.tar")
	defer os.Remove(archive)
	_, err = segpull.Pull(ctx, segpull.Options{Mirrors: []string{s.mirrors[0].url}, Output: archive}, repository+":"+tag)
	return err
}
