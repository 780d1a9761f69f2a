package realtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/registrytest"
)

// Beside 500 clients that read slowly, 50 that read fast have their first bytes soon, no
// request fails, and the server stays small.
func TestFastClientsBesideSlowOnes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is measured by /proc")
	}
	img := newImage(t, registrytest.ImageOptions{Layers: []int64{32 * mib}})
	first, _, _ := startMirrors(t, img)
	s := newServer(t, newHome(t), []string{first.url()})
	layer := slices.MaxFunc(img.Layers, func(a, b registrytest.Blob) int { return int(a.Size - b.Size) })
	base := "http://" + s.address + "/v2/library/ubuntu/"
	for _, path := range []string{"manifests/22.04", "manifests/" + string(img.Manifest.Digest), "blobs/" + string(layer.Digest)} {
		get(t, base+path)
	}
	var slow sync.WaitGroup
	done := make(chan struct{})
	for range 500 {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /v2/library/ubuntu/blobs/%s HTTP/1.1\r\nHost: %s\r\n\r\n", layer.Digest, s.address)
		slow.Go(func() {
			defer conn.Close()
			for block := make([]byte, 4<<10); ; {
				if _, err := io.ReadFull(conn, block); err != nil {
					t.Errorf("a slow client: %v", err)
					return
				}
				select {
				case <-done:
					return
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
	var mu sync.Mutex
	var waits []time.Duration
	var fast sync.WaitGroup
	for range 50 {
		fast.Go(func() {
			for range 4 {
				began := time.Now()
				resp, err := http.Get(base + "blobs/" + string(layer.Digest))
				if err != nil {
					t.Error(err)
					return
				}
				_, err = io.ReadFull(resp.Body, make([]byte, 1))
				wait := time.Since(began)
				n, more := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || more != nil || n+1 != layer.Size {
					t.Errorf("%d bytes, %v, %v", n, err, more)
				}
				mu.Lock()
				waits = append(waits, wait)
				mu.Unlock()
			}
		})
	}
	fast.Wait()
	close(done)
	slow.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kib, _ := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)[1]))
	slices.Sort(waits)
	t.Logf("first byte of %d requests: p50 %v, p99 %v, at most %v; %d MiB of memory", len(waits), waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1], kib>>10)
	if kib > 256<<10 {
		t.Errorf("%d MiB of memory", kib>>10)
	}
	if wait := waits[len(waits)*99/100]; wait > 5*time.Second { // a second, where the machine is not busy
		t.Errorf("the 99th of 100 first bytes took %v", wait)
	}
}
