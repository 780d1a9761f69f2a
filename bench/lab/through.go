package lab

import (
	"context"
	"os"
	"path/filepath"

	"github.com/segpull/segpull/bench/program"
)

// Through is a tool that pulls through a `segpull serve`, which has all mirrors and
// an empty cache. The server's processor time and memory count as the tool's,
// unless the tool has a service of its own.
func Through(t Tool) Tool {
	inner := t.service
	t.Name += "-through-serve"
	t.Settings = "segpull serve before all mirrors; " + t.Settings
	t.service = func(ctx context.Context, j job, at program.Place) (service, error) {
		serve, err := serveMirrors(j, at)
		if err != nil || inner == nil {
			return serve, err
		}
		j.mirrors = serve.instead
		own, err := inner(ctx, j, at)
		if err != nil {
			serve.stop()
			return service{}, err
		}
		stop := func() {
			own.stop()
			serve.stop()
		}
		return service{pid: own.pid, stop: stop, instead: serve.instead}, nil
	}
	return t
}

// serveMirrors runs a `segpull serve` before a job's mirrors.
func serveMirrors(j job, at program.Place) (service, error) {
	s := SegpullServer{Program: j.segpull, Dir: filepath.Join(j.dir, "serve")}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return service{}, err
	}
	for _, m := range j.mirrors {
		s.Mirrors = append(s.Mirrors, m.url)
	}
	daemon, err := ServeSegpull(at, s)
	return service{daemon.PID, daemon.Stop, []server{{Mirror: Mirror{Name: "serve"}, url: daemon.URL}}}, err
}
