package realtest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/deploytest"
	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// nginxConfig is the configuration in deploy.
func nginxConfig(t *testing.T) string {
	t.Helper()
	config, err := os.ReadFile(deploy + "nginx/segpull.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// startNginx runs nginx with a configuration like that in deploy, before these origins.
func startNginx(t *testing.T, config string, origins []*server) (address string) {
	t.Helper()
	needs.Programs(t, "nginx")
	address = freeAddress(t)
	var addresses []string
	for _, o := range origins {
		addresses = append(addresses, o.address)
	}
	text, err := deploytest.Nginx(config, address, addresses)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	// The directory is root's alone, so the workers of a master that is root are root, too.
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	var temporary []string
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary = append(temporary, fmt.Sprintf("%s_temp_path %s;", kind, filepath.Join(dir, kind)))
	}
	path := write(t, dir, "nginx.conf", user,
		"worker_processes 2;", "daemon off;", "pid "+filepath.Join(dir, "pid")+";",
		"error_log "+filepath.Join(dir, "error.log")+";", "events {}", "http {",
		"access_log off;", strings.Join(temporary, "\n"), text, "}")
	cmd := exec.Command("nginx", "-p", dir, "-c", path)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(cmd)
		if t.Failed() {
			for _, name := range []string{"out", "error.log"} {
				log, _ := os.ReadFile(filepath.Join(dir, name))
				t.Logf("nginx, %s:\n%s", name, log)
			}
		}
	})
	waitFor(t, address)
	return address
}

// replace replaces what text must have.
func replace(t *testing.T, text, old, by string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("the configuration has %q %d times, want it once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, by, 1)
}

// Containerd and docker pull the same 20 images through nginx, which is before three
// origins. One of them is killed while it fetches a blob: no pull fails, and the mirrors
// send each blob once, but for what only the dead origin had and was still asked for.
func TestSeveralOriginsBehindNginx(t *testing.T) {
	const images = 20
	registry := registrytest.New()
	sizes := make(map[string]int64)
	for i := range images {
		img := newImage(t, registrytest.ImageOptions{Seed: uint64(i + 1), Layers: []int64{500 << 10, 400 << 10, 600 << 10}})
		registry.Push(fleetRepository(i), "1", newIndex(img))
		for _, b := range append(img.Layers, img.Config) {
			sizes[string(b.Digest)] = b.Size
		}
	}
	mirrors := []*registrytest.Server{registry, registry.Mirror()}
	var urls []string
	for _, m := range mirrors {
		urls = append(urls, m.Start(t))
	}
	noRace := write(t, t.TempDir(), "config.toml", "no-race = true")
	var origins []*server
	var metrics []string
	for range 3 {
		metrics = append(metrics, freeAddress(t))
		origins = append(origins, newServer(t, newHome(t), urls,
			"--config", noRace, "--host", "segpull", "--metrics", metrics[len(metrics)-1]))
	}
	address := startNginx(t, nginxConfig(t), origins)
	h := origins[0].home
	c := newCtr(t, "ctr", startContainerd(t, "containerd").mirror(t, h, address))
	d := startDocker(t, dockerConfig(t, h, address))

	pullBoth := func(i int) error {
		var failed [2]error
		var pulls sync.WaitGroup
		pulls.Go(func() {
			_, failed[0] = try(t, nil, c.program, "--address", c.socket, "images", "pull", "--hosts-dir", c.hosts, "registry.invalid/"+fleetRepository(i)+":1")
		})
		pulls.Go(func() {
			_, failed[1] = try(t, nil, "docker", d.args([]string{"pull", fleetRepository(i) + ":1"})...)
		})
		pulls.Wait()
		return errors.Join(failed[:]...)
	}
	for i := range images {
		var killed sync.WaitGroup
		pulled := make(chan struct{})
		if i == images/2 {
			for _, m := range mirrors {
				m.Throttle(300 << 10)
			}
			killed.Go(func() {
				dead := firstBusy(t, metrics, pulled)
				if dead < 0 {
					t.Error("no origin has fetched the image that was slow")
					return
				}
				origins[dead].kill()
				for _, m := range mirrors {
					m.Throttle(0)
				}
			})
		}
		err := pullBoth(i)
		close(pulled)
		killed.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}

	var need, sent, most int64
	for digest, size := range sizes {
		need += size
		var n int64
		for _, m := range mirrors {
			for d, bytes := range m.Stats().Blobs {
				if string(d) == digest {
					n += bytes
				}
			}
		}
		sent += n
		most = max(most, n-size)
	}
	t.Logf("%d images have %d bytes; the mirrors sent %d, %.3f times that; the blob that was sent again cost %d", images, need, sent, float64(sent)/float64(need), most)
	if float64(sent) > 1.05*float64(need) {
		t.Errorf("the mirrors sent %d bytes of %d", sent, need)
	}
}

// An image is warmed through nginx, and then all mirrors are down. With the digest as the
// key, no origin has all of the image; with the repository as the key, one has, and serves it.
func TestAFleetWithoutMirrors(t *testing.T) {
	byDigest := nginxConfig(t)
	guide, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("`(\"~.+segpull_repository;)`").FindSubmatch(guide)
	if line == nil {
		t.Fatal("docs/fleet.md has no line for nginx with the repository as the key")
	}
	digestLine := regexp.MustCompile(`(?m)^ *"~.* \$segpull_digest;$`).FindString(byDigest)
	for about, test := range map[string]struct {
		config string
		status int
	}{
		"digest":     {byDigest, http.StatusNotFound},
		"repository": {replace(t, byDigest, digestLine, string(line[1])), http.StatusOK},
	} {
		t.Run(about, func(t *testing.T) {
			registry := registrytest.New()
			registry.Push(fleetRepository(0), "1", newImage(t, registrytest.ImageOptions{Layers: slices.Repeat([]int64{64 << 10}, 12)}))
			url := registry.Start(t)
			var origins []*server
			for range 3 {
				origins = append(origins, newServer(t, newHome(t), []string{url}, "--host", "segpull", "--tag-ttl", "0"))
			}
			address := startNginx(t, test.config, origins)
			newHome(t).pull(t, "cache", "add", "--server", "http://"+address, fleetRepository(0)+":1")
			registry.Misbehave(registrytest.Raw("", "", 0).On()) // it closes all connections
			resp, err := http.Get("http://" + address + "/v2/" + fleetRepository(0) + "/manifests/1")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("the manifest is answered by %s, want %d", resp.Status, test.status)
			}
		})
	}
}

// fleetRepository is the repository of an image.
func fleetRepository(i int) string { return fmt.Sprintf("library/app%d", i) }

// firstBusy waits until a server is in the middle of a blob, and returns its number; -1 if
// none is until done.
func firstBusy(t *testing.T, metrics []string, done chan struct{}) int {
	before := make([]int64, len(metrics))
	for i, m := range metrics {
		before[i] = fetchedBy(get(t, "http://"+m+"/metrics"))
	}
	for {
		for i, m := range metrics {
			now := get(t, "http://"+m+"/metrics")
			if !strings.Contains(now, "segpull_downloads 0\n") && fetchedBy(now) > before[i]+256<<10 {
				return i
			}
		}
		select {
		case <-done:
			return -1
		case <-time.After(time.Millisecond):
		}
	}
}

// fetchedBy is how many bytes a server has fetched, by its metrics.
func fetchedBy(metrics string) (bytes int64) {
	for _, m := range regexp.MustCompile(`(?m)^segpull_fetched_bytes_total\{.*\} (\S+)$`).FindAllStringSubmatch(metrics, -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		bytes += int64(n)
	}
	return bytes
}
