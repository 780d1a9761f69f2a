//go:build unix

package state

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/segment"
)

func init() {
	roles["open"] = openRole
	roles["write"] = writeRole
	roles["finish"] = finishRole
}

// start runs this test's binary in a role, and returns its output as out.
func start(t *testing.T, role, path string) (cmd *exec.Cmd, out *bufio.Reader) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, bufio.NewReader(pipe)
}

// kill kills a process at a random moment, and returns the rest of its output.
func kill(t *testing.T, cmd *exec.Cmd, out io.Reader) []byte {
	t.Helper()
	time.Sleep(rand.N(15 * time.Millisecond))
	must(t, cmd.Process.Kill())
	rest, err := io.ReadAll(out)
	must(t, err)
	cmd.Wait() // it was killed
	return rest
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		panic(err)
	}
}

func openRole(path string) {
	s, err := Open(context.Background(), path, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("open")
	time.Sleep(time.Minute) // it will be killed
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	s := open(t, path, nil)
	_, err := Open(context.Background(), path, nil, nil)
	checkLocked(t, err)

	cmd, out := start(t, "open", path)
	line, err := out.ReadString('\n')
	must(t, err)
	if want := (&LockedError{Dir: Dir(path)}).Error() + "\n"; line != want {
		t.Errorf("the other process says %q, want %q", line, want)
	}
	must(t, cmd.Wait())

	must(t, s.Close())
	cmd, out = start(t, "open", path)
	_, err = out.ReadString('\n')
	must(t, err)
	_, err = Open(context.Background(), path, nil, nil)
	checkLocked(t, err)

	must(t, cmd.Process.Kill()) // that releases the lock
	cmd.Wait()
	open(t, path, nil)
}

func checkLocked(t *testing.T, err error) {
	t.Helper()
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Errorf("Open() = %v, want that the directory is in use", err)
	}
}

var killed = Placement{"sha256:killed", 2 << 20, 0}

// serve returns the bytes that a source serves for a range of the blob.
var serve = sync.OnceValue(func() [][]byte {
	return [][]byte{random(int(killed.Size), 30), random(int(killed.Size), 31)}
})

// writeRole fills the blob and then replaces parts of it, until it is killed. It prints
// what is recorded. Every other time the blob has another offset, so that the kill may
// interrupt the copying.
func writeRole(path string) {
	place := killed
	place.Offset = rand.Int64N(2) * 1000
	s, err := Open(context.Background(), path, []Placement{place}, []string{"0", "1"})
	check(err)
	served := serve()
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for {
				r := segment.Range{Start: rand.Int64N(killed.Size)}
				r.End = min(killed.Size, r.Start+1+rand.Int64N(40_000))
				source := rand.IntN(2)
				p := served[source][r.Start:r.End]
				if rand.IntN(3) == 0 {
					check(s.Blob(0).Replace(r.Start, p, source))
				} else {
					check(s.Write(0, r.Start, p, source))
				}
				fmt.Printf("%d %d\n", r.Start, r.End)
			}
		})
	}
	g.Wait()
}

// After a kill at any moment, in Open, in the copying or in a write, no recorded byte is
// lost, except those of the one Replace that was interrupted, and none is wrong.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image.tar")
	var recorded segment.Set
	for range 25 {
		cmd, out := start(t, "write", path)
		if rand.IntN(3) > 0 { // otherwise it is killed in Open
			_, err := out.Peek(1)
			must(t, err)
		}
		for line := range bytes.Lines(kill(t, cmd, out)) {
			var r segment.Range
			if n, _ := fmt.Sscanf(string(line), "%d %d\n", &r.Start, &r.End); n == 2 && bytes.HasSuffix(line, []byte("\n")) {
				recorded.Add(r)
			}
		}
		s := open(t, path, []Placement{killed}, "0", "1")
		b := s.Blob(0)
		checkServed(t, b, func(source string) []byte { return serve()[source[0]-'0'] })
		lost := int64(0)
		for _, r := range b.Missing() {
			for _, gone := range recorded.Within(r) {
				lost += gone.Len()
			}
			recorded.Remove(r)
		}
		if lost > 40_000 {
			t.Errorf("%d recorded bytes are lost", lost)
		}
		must(t, s.Close())
	}
	if recorded.Len() == 0 {
		t.Error("nothing was ever written")
	}
}

// finishRole creates the output again and again, until it is killed.
func finishRole(path string) {
	truth := serve()[0]
	fmt.Println("open")
	for {
		s, err := Open(context.Background(), path, []Placement{killed}, []string{"0"})
		check(err)
		for off := int64(0); off < killed.Size; off += MaxRecord {
			check(s.Write(0, off, truth[off:min(off+MaxRecord, killed.Size)], 0))
		}
		check(s.PromotePart(path, killed.Size))
		check(s.Remove())
		check(s.Close())
	}
}

// After a kill at the end, the output is complete or has not changed.
func TestKilledWhileFinishing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image.tar")
	for range 15 {
		cmd, out := start(t, "finish", path)
		_, err := out.ReadString('\n')
		must(t, err)
		kill(t, cmd, out)
		got, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		if !bytes.Equal(got, serve()[0]) {
			t.Fatal("the output is there, and is wrong")
		}
		s := open(t, path, []Placement{killed}, "0")
		checkServed(t, s.Blob(0), func(string) []byte { return serve()[0] })
		must(t, s.Close())
	}
}

// Many runs on one output: each gets either the directory or a *LockedError, and none
// fails because another removes the directory.
func TestManyRunsOnOneOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	var mu sync.Mutex
	var g sync.WaitGroup
	finished := 0
	for range 4 {
		g.Go(func() {
			for range 40 {
				s, err := Open(context.Background(), path, nil, nil)
				var locked *LockedError
				if errors.As(err, &locked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if !mu.TryLock() {
					t.Error("two have the directory")
					return
				}
				finished++
				mu.Unlock()
				if err := s.Remove(); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	g.Wait()
	if finished == 0 {
		t.Error("none got the directory")
	}
}
