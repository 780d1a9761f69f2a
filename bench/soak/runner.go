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

	"github.com/segpull/segpull/bench/program"
)

// runner runs a round.
type runner struct {
	*round
	program string
	dir     string // the user's; outputs go to a directory in it
	disk    *smallDisk
	site    *site
	tally   *tally

	mu          sync.Mutex // guards what follows; processes are checked one at a time
	checker     *checker
	starts      int
	openAtKills int // responses that were open at kills
}

// maxAttempts is how often an undisturbed pull may end with the exit code that
// asks to run it again.
const maxAttempts = 4

// outputs is the directory of the output. Nothing else is in it.
func outputs(dir string) string { return filepath.Join(dir, "out") }

// partFiles are the files of this name in part directories. There may be several
// of these, since the name of the output depends on the format.
func partFiles(dir, name string) []string {
	found, _ := filepath.Glob(filepath.Join(outputs(dir), "*.segpull", name)) // the pattern is right
	return found
}

// linkTarget is a file that links in the part directory lead to. segpull may not
// change it.
func linkTarget(dir string) string { return filepath.Join(dir, "link-target") }

const linkTargetText = "no run writes here"

// runRound runs a round in a directory and returns what did not hold. The error
// is the soak's own, or the context's.
func runRound(ctx context.Context, r round, program, dir string, t *tally) (wrong []string, err error) {
	g := &runner{round: &r, program: program, dir: dir, tally: t, checker: &checker{round: &r, dir: dir}}
	if err := g.prepare(); err != nil {
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
	if err := g.attempt(ctx); err != nil {
		return nil, err
	}
	g.checker.checkLinkTarget()
	g.checker.checkTraffic(g.site, g.openAtKills)
	served, _ := g.site.traffic()
	t.addRound(r, served, g.checker)
	return g.checker.wrong, nil
}

// prepare makes the directory of the output and the files beside it.
func (g *runner) prepare() error {
	if err := os.MkdirAll(outputs(g.dir), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(linkTarget(g.dir), []byte(linkTargetText), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(g.dir, "plan.txt"), []byte(g.String()), 0o600)
}

// attempt makes all attempts of the round.
func (g *runner) attempt(ctx context.Context) error {
	last := len(g.attempts) - 1
	for _, a := range g.attempts[:last] {
		if _, err := g.start(ctx, a); err != nil {
			return err
		}
	}
	return g.finish(ctx, g.attempts[last])
}

// finish makes the last attempt, and repeats it while segpull asks for that.
func (g *runner) finish(ctx context.Context, a attempt) error {
	for range maxAttempts {
		p, err := g.start(ctx, a)
		if err != nil {
			return err
		}
		if p.Exit != exitNetwork || g.outcome == mayFail {
			return nil
		}
		g.tally.addRetry()
	}
	g.checker.failf("undisturbed, it ended %d times because of the network", maxAttempts)
	return nil
}

// start makes an attempt: it runs segpull, and others on the same output beside
// it, until all have ended, and returns the result of the first.
func (g *runner) start(ctx context.Context, a attempt) (result, error) {
	if err := g.damage(a); err != nil {
		return result{}, err
	}
	if a.cause == fullDisk {
		if err := g.disk.shrink(ctx, a.room); err != nil {
			return result{}, err
		}
		defer func() { _ = g.disk.grow() }()
	}
	others, group := errgroup.WithContext(ctx)
	for _, delay := range a.others {
		others.Go(func() error {
			select {
			case <-time.After(delay):
			case <-group.Done():
				return nil
			}
			other := a
			other.after -= delay
			other.paused = 0
			_, err := g.process(group, other)
			return err
		})
	}
	p, err := g.process(group, a)
	return p, errors.Join(err, others.Wait(), ctx.Err())
}

// damage damages the files of earlier attempts.
func (g *runner) damage(a attempt) error {
	target := linkTarget(g.dir)
	for _, d := range a.damages {
		paths := partFiles(g.dir, d.file)
		switch d.file {
		case memoryName:
			paths = []string{filepath.Join(g.dir, "segpull", memoryName)}
		case outputName:
			paths = []string{filepath.Join(outputs(g.dir), outputName)}
			g.checker.damaged, g.checker.existing = g.shape == toFile, ""
		}
		for _, path := range paths {
			if err := d.apply(path, target); err != nil {
				return err
			}
		}
		g.tally.addDamage(d)
		g.checker.kept = 0
	}
	return nil
}

// process runs one segpull to its end and checks it.
func (g *runner) process(ctx context.Context, a attempt) (result, error) {
	g.mu.Lock()
	g.starts++
	number := g.starts
	g.mu.Unlock()
	path := filepath.Join(outputs(g.dir), outputName)
	cmd := g.command(a)
	if g.shape == toStdout {
		path = filepath.Join(g.dir, fmt.Sprintf("stdout-%d", number))
		f, err := os.Create(path)
		if err != nil {
			return result{}, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	p, err := execute(ctx, a, cmd, g.site.open)
	if err != nil || ctx.Err() != nil {
		return p, err
	}
	p.path, p.alone = path, len(a.others) == 0
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checker.check(p)
	if p.cause == kill && p.Exit == -1 {
		g.openAtKills += p.open
	}
	g.tally.addResult(*g.round, p)
	summary := fmt.Sprintf("%s\n%s\nexit %d after %s, %s after a signal, %d responses open then\n", a, cmd, p.Exit, p.Wall, p.survived, p.open)
	return p, os.WriteFile(filepath.Join(g.dir, fmt.Sprintf("run-%02d.txt", number)), append(p.stderr, summary...), 0o600)
}

// command is segpull with the flags of the attempt.
func (g *runner) command(a attempt) *exec.Cmd {
	args := []string{
		g.program, "--config", filepath.Join(g.dir, "soak.toml"), "--progress", a.progress, "--format", a.format,
		"--platform", g.image.platform, "--give-up-after", giveUpAfter[g.outcomeOf(a.mirrors)],
	}
	for _, m := range a.mirrors {
		args = append(args, "--mirror", m.name)
	}
	args = append(args, a.flags...)
	if g.shape == toStdout {
		args = append(args, "--output", "-")
	} else {
		args = append(args, "--output", outputName)
	}
	args = append(args, g.reference())
	if a.cause == fullDisk && g.disk == nil {
		args = append([]string{"sh", "-c", `ulimit -f "$0" && exec "$@"`, fmt.Sprint(a.room / 512)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = outputs(g.dir)
	cmd.Env = append(program.Environment(g.dir), "DOCKER_CONFIG="+g.dir)
	return cmd
}

// giveUpAfter is short where waiting does not help.
var giveUpAfter = map[outcome]string{succeeds: "40s", mismatches: "20s", mayFail: "4s"}
