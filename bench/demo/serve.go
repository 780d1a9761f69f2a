package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/program"
)

// RunServer shows `segpull serve` before the mirrors, and a client that pulls
// through it twice. segpull is the path of the program; the cache goes to dir.
func RunServer(ctx context.Context, segpull, dir string) error {
	return newDemo(segpull, dir).run(ctx, (*demo).showServer)
}

// showServer pulls through the server twice, and shows what each mirror served.
func (d *demo) showServer(ctx context.Context) error {
	address, err := d.startServer()
	if err != nil {
		return err
	}
	c := client.New("http://"+address+"/v2/library/demo", client.Options{})
	defer c.Close()
	if err := d.pullThrough(ctx, c, "A client pulls library/demo:latest"); err != nil {
		return err
	}
	if err := d.pullThrough(ctx, c, "Another client pulls the same, now from the cache"); err != nil {
		return err
	}
	d.report()
	return nil
}

// startServer runs segpull serve, whose log goes to the terminal.
func (d *demo) startServer() (address string, err error) {
	address, err = program.FreeAddress(program.Loopback{})
	if err != nil {
		return "", err
	}
	args := append([]string{"serve", "--config", "config.toml", "--listen", address, "--cache-dir", "cache"}, d.useMirrors()...)
	fmt.Fprintf(os.Stderr, "$ segpull %s\n", strings.Join(args, " "))
	server := exec.Command(d.segpull, args...)
	server.Dir = d.dir
	server.Env = program.Environment(d.dir)
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	_, stop, err := program.Daemon(program.Loopback{}, server, program.Listens(program.Loopback{}, address))
	if err != nil {
		return "", err
	}
	d.stops = append(d.stops, stop)
	return address, nil
}

// pullThrough pulls the image, and shows what came when.
func (d *demo) pullThrough(ctx context.Context, c *client.Client, what string) error {
	fmt.Fprintf(os.Stderr, "\n%s:\n", what)
	started := time.Now()
	blobs, err := c.Pull(ctx, "latest")
	if err != nil {
		return err
	}
	took := time.Since(started)
	var size int64
	for _, b := range blobs {
		size += b.Size
		fmt.Fprintf(os.Stderr, "  blob %s  %9s  first byte after %5.2f s, whole and right after %5.2f s\n",
			b.Digest.Encoded()[:12], inMiB(b.Size), b.First.Seconds(), b.Whole.Seconds())
	}
	if _, want := d.blobs(); size != want {
		return fmt.Errorf("the client got %d bytes, and the image has %d", size, want)
	}
	fmt.Fprintf(os.Stderr, "%s in %.1f s, %s/s; all digests are right.\n", inMiB(size), took.Seconds(), inMiB(int64(float64(size)/took.Seconds())))
	return nil
}
