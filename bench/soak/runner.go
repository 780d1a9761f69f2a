package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/bench/program"
)

// runner is a round that is being played.
type runner struct {
	*round
	program string
	dir     string // the user's; outputs go to a folder in it
	disk    *smallDisk
	site    *site
	tally   *tally

	mu     sync.Mutex // one process is judged at a time
	judge  *judge
	starts int
	killed int // connections that were open at kills
}

// mostTries is how often a pull may end with "run again", once it is left in
// peace.
const mostTries = 4

// outputs is the folder in which the output goes. Nothing else is in it.
func outputs(dir string) string { return filepath.Join(dir, "out") }

// partFiles are the files of this name in part folders, of which there may be
// several where the format of the output's name changes.
func partFiles(dir, name string) []string {
	found, _ := filepath.Glob(filepath.Join(outputs(dir), "*.segpull", name)) // the pattern is right
	return found
}

// bystanderOf is a file that links in the part folder lead to. It has to stay
// as it is.
func bystanderOf(dir string) string { return filepath.Join(dir, "bystander") }

const bystanding = "nobody writes here"

// runRound plays a round in a folder and returns what did not hold. The error
// is the bench's own, or the context's.
func runRound(ctx context.Context, r round, program, dir string, t *tally) (wrong []string, err error) {
	g := &runner{round: &r, program: program, dir: dir, tally: t, judge: &judge{round: &r, dir: dir}}
	if err := os.MkdirAll(outputs(dir), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(bystanderOf(dir), []byte(bystanding), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "plan.txt"), []byte(r.String()), 0o600); err != nil {
		return nil, err
	}
	if r.smallDisk {
		g.disk = mountSmallDisk(ctx, outputs(dir))
		defer g.disk.unmount()
	}
	g.site, err = serve(r)
	defer g.site.close()
	if err != nil {
		return nil, err
	}
	if err := g.site.configure(dir); err != nil {
		return nil, err
	}
	for _, run := range r.runs[:len(r.runs)-1] {
		if _, err := g.start(ctx, run); err != nil {
			return nil, err
		}
	}
	if err := g.finish(ctx, r.runs[len(r.runs)-1]); err != nil {
		return nil, err
	}
	g.judge.checkBystander()
	g.judge.checkTraffic(g.site, g.killed)
	served, _ := g.site.traffic()
	t.played(r, served, g.judge)
	return g.judge.wrong, nil
}

// finish pulls in peace, again where that is what segpull asks for.
func (g *runner) finish(ctx context.Context, run attempt) error {
	for range mostTries {
		e, err := g.start(ctx, run)
		if err != nil {
			return err
		}
		if e.Exit != segpull.ExitNetwork || g.fate == mayFail {
			return nil
		}
		g.tally.ranAgain()
	}
	g.judge.blame("left in peace, it said %d times that the network gave out", mostTries)
	return nil
}

// start runs segpull, and others on the same output beside it, until all have
// ended, and returns what came of the first.
func (g *runner) start(ctx context.Context, run attempt) (ending, error) {
	if err := g.wound(run); err != nil {
		return ending{}, err
	}
	if run.blow == noRoom {
		if err := g.disk.shrink(ctx, run.room); err != nil {
			return ending{}, err
		}
		defer func() { _ = g.disk.grow() }()
	}
	rivals, rivalry := errgroup.WithContext(ctx)
	for _, delay := range run.rivals {
		rivals.Go(func() error {
			select {
			case <-time.After(delay):
			case <-rivalry.Done():
				return nil
			}
			rival := run
			rival.after -= delay
			rival.paused = 0
			_, err := g.process(rivalry, rival)
			return err
		})
	}
	e, err := g.process(rivalry, run)
	return e, errors.Join(err, rivals.Wait(), ctx.Err())
}

// wound damages what the runs before have left.
func (g *runner) wound(run attempt) error {
	bystander := bystanderOf(g.dir)
	for _, w := range run.wounds {
		paths := partFiles(g.dir, w.file)
		switch w.file {
		case memory:
			paths = []string{filepath.Join(g.dir, "segpull", memory)}
		case outputName:
			paths = []string{filepath.Join(outputs(g.dir), outputName)}
			g.judge.spoilt, g.judge.stands = g.shape == toFile, ""
		}
		for _, path := range paths {
			if err := w.inflict(path, bystander); err != nil {
				return err
			}
		}
		g.tally.wounded(w)
		g.judge.kept = 0
	}
	return nil
}

// process runs one segpull to its end and has it judged.
func (g *runner) process(ctx context.Context, run attempt) (ending, error) {
	g.mu.Lock()
	g.starts++
	number := g.starts
	g.mu.Unlock()
	path := filepath.Join(outputs(g.dir), outputName)
	cmd := g.command(run)
	if g.shape == toStdout {
		path = filepath.Join(g.dir, fmt.Sprintf("stdout-%d", number))
		f, err := os.Create(path)
		if err != nil {
			return ending{}, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	e, err := suffer(ctx, run, cmd, g.site.open)
	if err != nil || ctx.Err() != nil {
		return e, err
	}
	e.path, e.alone = path, len(run.rivals) == 0
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judge.hear(e)
	if e.run.blow == kill && e.Exit == -1 {
		g.killed += e.open
	}
	g.tally.ended(*g.round, e)
	said := fmt.Sprintf("%s\n%s\nexit %d after %s, struck %s before its end, %d responses open\n", run, cmd, e.Exit, e.Wall, e.lived, e.open)
	return e, os.WriteFile(filepath.Join(g.dir, fmt.Sprintf("run-%02d.txt", number)), append(e.stderr, said...), 0o600)
}

// command is segpull as the run wants it.
func (g *runner) command(run attempt) *exec.Cmd {
	args := []string{
		g.program, "--config", filepath.Join(g.dir, "soak.toml"), "--progress", run.progress, "--format", run.format,
		"--platform", g.image.platform, "--give-up-after", giveUpAfter[g.fateOf(run.mirrors)],
	}
	for _, m := range run.mirrors {
		args = append(args, "--mirror", m.name)
	}
	args = append(args, run.flags...)
	if g.shape == toStdout {
		args = append(args, "--output", "-")
	} else {
		args = append(args, "--output", outputName)
	}
	args = append(args, g.reference())
	if run.blow == noRoom && g.disk == nil {
		args = append([]string{"sh", "-c", `ulimit -f "$0" && exec "$@"`, fmt.Sprint(run.room / 512)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = outputs(g.dir)
	cmd.Env = append(program.Environment(g.dir), "DOCKER_CONFIG="+g.dir)
	return cmd
}

// giveUpAfter is short where waiting is of no use.
var giveUpAfter = map[fate]string{endsWell: "40s", endsIn5: "20s", mayFail: "4s"}
