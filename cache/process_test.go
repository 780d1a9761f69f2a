package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// The tests run other processes of this test's binary, each in a role.
const (
	roleVariable = "SEGPULL_TEST_CACHE_ROLE"
	dirVariable  = "SEGPULL_TEST_CACHE_DIR"
)

var roles = map[string]func(ctx context.Context, c *Cache) error{
	"hold":  hold,
	"churn": churn,
	"share": share,
}

func play(role string) {
	if err := roles[role](context.Background(), New(os.Getenv(dirVariable), 300*kib)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// start starts a process in a role, and returns its output.
func start(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", roleVariable+"="+role, dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(pipe)
}

var held = newImage(7, 600*kib).Layers[0]

// hold fetches half of a blob, and then nothing.
func hold(ctx context.Context, c *Cache) error {
	p, err := c.Begin(ctx, held.Descriptor, []string{"mirror"}, 0)
	if err != nil {
		return err
	}
	defer p.Close() // a collected file would unlock the part
	if err := p.Store().Write(0, 0, bytesOf(held)[:held.Size/2], 0); err != nil {
		return err
	}
	fmt.Println("half")
	time.Sleep(time.Minute) // it will be killed
	return nil
}

// A second process waits for the first, and continues with its bytes when that dies.
func TestTheSecondProcessTakesOver(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	cmd, out := start(t, "hold", c.Dir())
	if line, err := out.ReadString('\n'); line != "half\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if n := c.Arrived(held.Digest); n != held.Size/2 {
		t.Errorf("%d bytes have arrived there, want %d", n, held.Size/2)
	}
	if l, err := c.List(t.Context()); err != nil || l.Unfinished != held.Size/2 || l.Size > 0 {
		t.Errorf("%+v, %v", l, err)
	}
	_, err := c.Begin(t.Context(), held.Descriptor, []string{"other"}, 50*time.Millisecond)
	if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Digest != held.Digest {
		t.Errorf("Begin() = %v while another process has it", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Begin(ctx, held.Descriptor, []string{"other"}, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Begin() = %v when its context ends", err)
	}

	time.AfterFunc(50*time.Millisecond, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, err := c.Begin(t.Context(), held.Descriptor, []string{"other"}, time.Minute)
	must(t, err)
	defer p.Close()
	if n := p.Store().Blob(0).Done(); n != held.Size/2 {
		t.Errorf("%d bytes are there, want %d", n, held.Size/2)
	}
	must(t, p.Store().Write(0, 0, bytesOf(held), 0))
	must(t, p.Commit(t.Context()))
	if right, err := isRight(t.Context(), open(t, c, held), held.Digest); !right || err != nil {
		t.Errorf("it is right: %t, %v", right, err)
	}
	if _, err := c.Begin(t.Context(), held.Descriptor, nil, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Begin() = %v when it is there", err)
	}
}

// A process fetches its blobs in turn, so that one which waits does not give up while
// bytes of another blob arrive.
func TestBeginWaitsWhileAnythingArrives(t *testing.T) {
	t.Parallel()
	c, img := New(t.TempDir(), DefaultLimit), newImage(1, 400*kib)
	p, err := c.Begin(t.Context(), img.Config.Descriptor, []string{"mirror"}, 0)
	must(t, err)
	defer p.Close()
	other, err := c.Begin(t.Context(), img.Layers[0].Descriptor, []string{"mirror"}, 0)
	must(t, err)
	defer other.Close()
	const arriving = 400 * time.Millisecond
	var writing sync.WaitGroup
	defer writing.Wait()
	began := time.Now()
	writing.Go(func() {
		for off := int64(0); time.Since(began) < arriving; off += kib {
			if err := other.Store().Write(0, off, bytesOf(img.Layers[0])[off:off+kib], 0); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	_, err = c.Begin(t.Context(), img.Config.Descriptor, nil, 200*time.Millisecond)
	if _, busy := errors.AsType[*BusyError](err); !busy || time.Since(began) < arriving {
		t.Errorf("it ended after %v with %v", time.Since(began), err)
	}
}

func open(t *testing.T, c *Cache, b registrytest.Blob) *os.File {
	t.Helper()
	f, err := c.Open(t.Context(), b.Digest)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// shared are blobs that several processes want at the same time.
func shared() registrytest.Image {
	return newImage(8, 20*kib, 21*kib, 22*kib, 23*kib, 24*kib, 25*kib, 26*kib, 27*kib)
}

// share fetches blobs in its own order, and prints those that no other process had.
func share(ctx context.Context, c *Cache) error {
	layers := shared().Layers
	rand.Shuffle(len(layers), func(i, j int) { layers[i], layers[j] = layers[j], layers[i] })
	for _, b := range layers {
		p, err := c.Begin(ctx, b.Descriptor, []string{"mirror"}, time.Minute)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if p.Store().Blob(0).Done() > 0 {
			return errors.New("a part has bytes, and no process was killed")
		}
		time.Sleep(10 * time.Millisecond)
		if err := p.Store().Write(0, 0, bytesOf(b), 0); err != nil {
			return err
		}
		fmt.Println(b.Digest)
		if err := errors.Join(p.Commit(ctx), p.Close()); err != nil {
			return err
		}
	}
	return nil
}

func TestEachBlobIsFetchedOnceByThreeProcesses(t *testing.T) {
	c := New(t.TempDir(), DefaultLimit)
	var running []*exec.Cmd
	var outputs []*bufio.Reader
	for range 3 {
		cmd, out := start(t, "share", c.Dir())
		running, outputs = append(running, cmd), append(outputs, out)
	}
	var fetched []string
	for i, out := range outputs {
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				break
			}
			fetched = append(fetched, strings.TrimSpace(line))
		}
		must(t, running[i].Wait())
	}
	var want []string
	for _, b := range shared().Layers {
		want = append(want, b.Digest.String())
		if !has(t, c, b) {
			t.Errorf("%s is missing", b.Digest)
		}
	}
	slices.Sort(fetched)
	slices.Sort(want)
	if !slices.Equal(fetched, want) {
		t.Errorf("fetched\n%q, want\n%q", fetched, want)
	}
}

func churned(i int) (string, registrytest.Image) {
	return fmt.Sprintf("app:%d", i), newImage(uint64(100+i%5), int64(20+i%5)*kib, int64(40+i%3)*kib)
}

// churn puts images and evicts others until it is killed: its limit is less than all.
func churn(ctx context.Context, c *Cache) error {
	fmt.Println("begun")
	for i := rand.IntN(12); ; i = rand.IntN(12) {
		name, img := churned(i)
		if _, err := c.Room(ctx, sizeOf(img), img.Manifest.Digest); err != nil {
			return err
		}
		if _, err := c.PutManifest(ctx, img.Manifest.MediaType, bytesOf(img.Manifest)); err != nil {
			return err
		}
		for _, b := range append(img.Layers, img.Config) {
			if err := put(ctx, c, b); err != nil {
				if _, busy := errors.AsType[*BusyError](err); !busy {
					return err
				}
			}
		}
		ref, tag, _ := strings.Cut(name, ":")
		if err := c.SetName(ctx, Name{"docker.io", "library/" + ref, tag, img.Manifest.Digest, time.Now(), "mirror"}); err != nil {
			return err
		}
		if rand.IntN(20) == 0 {
			if v, err := c.Verify(ctx); err != nil || len(v.Damaged) > 0 {
				return fmt.Errorf("%+v, %w", v, err)
			}
		}
	}
}

// Three processes put and evict, and are killed at random moments. Whatever they leave,
// every blob is right, and the next use of the cache completes each image.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := New(dir, DefaultLimit)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		var running []*exec.Cmd
		for range 3 {
			cmd, out := start(t, "churn", dir)
			if line, err := out.ReadString('\n'); line != "begun\n" {
				t.Fatalf("%q, %v", line, err)
			}
			running = append(running, cmd)
			go func() {
				for line, err := out.ReadString('\n'); err == nil; line, err = out.ReadString('\n') {
					t.Errorf("a process ended: %s", line)
				}
			}()
		}
		for _, cmd := range running {
			time.Sleep(rand.N(120 * time.Millisecond))
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
		}
		if v, err := c.Verify(t.Context()); err != nil || len(v.Damaged) > 0 {
			t.Fatalf("%+v, %v", v, err)
		}
		if l, err := c.List(t.Context()); err != nil || l.Size > 500*kib {
			t.Errorf("%d bytes, %v", l.Size, err)
		}
		name, img := churned(rand.IntN(12))
		putImage(t, c, name, img)
		if got := names(t, c); !slices.Contains(got, name) {
			t.Errorf("%s is not complete: %q", name, got)
		}
		if n, err := c.Name(nameOf(t, name, img).reference()); err != nil || n.Digest != img.Manifest.Digest {
			t.Errorf("%s is %s, %v", name, n.Digest, err)
		}
	}
	done, err := New(dir, 0).Room(t.Context(), 0, "")
	must(t, err)
	if left, err := c.size(); err != nil || left > 0 || done.Images == 0 {
		t.Errorf("%d bytes are left after %+v, %v", left, done, err)
	}
}
