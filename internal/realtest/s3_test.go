package realtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull/internal/needs"
	"github.com/segpull/segpull/internal/registrytest"
)

// The credentials of versitygw.
const (
	s3Key    = "segpull"
	s3Secret = "a-secret-of-this-test"
)

// startS3 runs versitygw with a bucket, and returns the URL for the configuration.
func startS3(t *testing.T) (url string) {
	t.Helper()
	needs.Extra(t, "versitygw", "test-s3")
	dir, address := tempDir(t), freeAddress(t)
	if err := os.Mkdir(filepath.Join(dir, "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("versitygw", "--access", s3Key, "--secret", s3Secret, "--port", address, "--quiet", "--keep-alive", "posix", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(cmd) })
	waitFor(t, address)
	return "s3://blobs/team?endpoint=http://" + address
}

// withBucket returns a home whose configuration has the bucket.
func withBucket(t *testing.T, url string) home {
	t.Helper()
	h := newHome(t)
	h.env = append(h.env, "AWS_ACCESS_KEY_ID="+s3Key, "AWS_SECRET_ACCESS_KEY="+s3Secret)
	dir := filepath.Join(h.settings, ".config", "segpull")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "config.toml", fmt.Sprintf("cache = %q", url))
	return h
}

// blobsFrom gets all blobs of an image from a server, as engines do, or returns why not.
func blobsFrom(s *server, repository string, img registrytest.Image) error {
	var failed error
	var mu sync.Mutex
	var blobs sync.WaitGroup
	for _, b := range append([]registrytest.Blob{img.Manifest, img.Config}, img.Layers...) {
		kind := "blobs"
		if b.Digest == img.Manifest.Digest {
			kind = "manifests"
		}
		blobs.Go(func() {
			body, err := download(fmt.Sprintf("http://%s/v2/%s/%s/%s", s.address, repository, kind, b.Digest))
			if err == nil && string(body) != string(b.Bytes()) {
				err = fmt.Errorf("%d bytes of blob %s of %d", len(body), b.Digest, b.Size)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
		})
	}
	blobs.Wait()
	return failed
}

func download(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %.200q", url, resp.Status, body)
	}
	return body, err
}

// Servers share a bucket of versitygw: two that miss an image at once fetch it once, one is
// killed while it fetches another image, and a third one needs no mirror.
func TestServersShareABucketOfVersitygw(t *testing.T) {
	bucket := startS3(t)
	mirror := registrytest.New()
	images := make(map[string]registrytest.Image)
	for i, name := range []string{"first", "second"} {
		images[name] = newImage(t, registrytest.ImageOptions{Seed: uint64(i + 1), Layers: []int64{24 * mib, 5 * mib}})
		mirror.Push("library/"+name, "1", images[name])
	}
	url := mirror.Start(t)
	mirror.Throttle(10 * mib)
	need := func(name string) (n int64) {
		for _, b := range append([]registrytest.Blob{images[name].Config}, images[name].Layers...) {
			n += b.Size
		}
		return n
	}
	one := newServer(t, withBucket(t, bucket), []string{url})
	two := newServer(t, withBucket(t, bucket), []string{url})

	var pulls sync.WaitGroup
	for _, s := range []*server{one, two} {
		pulls.Go(func() {
			if err := blobsFrom(s, "library/first", images["first"]); err != nil {
				t.Error(err)
			}
		})
	}
	pulls.Wait()
	sent := mirror.Stats().Bytes
	t.Logf("two servers: the mirror sent %d bytes of %d, %.3f times", sent, need("first"), float64(sent)/float64(need("first")))
	if float64(sent) > 1.05*float64(need("first")) {
		t.Errorf("the mirror sent %d bytes of %d", sent, need("first"))
	}

	mirror.ResetStats()
	killed := make(chan error, 1)
	go func() { killed <- blobsFrom(one, "library/second", images["second"]) }()
	for mirror.Stats().Bytes < need("second")/4 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	one.kill()
	<-killed
	began := time.Now()
	if err := blobsFrom(two, "library/second", images["second"]); err != nil {
		t.Error(err)
	}
	t.Logf("after one was killed: the mirror sent %.3f times what the image has, and it took %v", float64(mirror.Stats().Bytes)/float64(need("second")), time.Since(began))

	mirror.Misbehave(registrytest.Raw("", "", 0).On())
	three := newServer(t, withBucket(t, bucket), []string{url})
	for name, img := range images {
		began := time.Now()
		if err := untilStored(three, "library/"+name, img); err != nil {
			t.Errorf("%s, without a mirror: %v", name, err)
		}
		t.Logf("%s: the third server had it in %v", name, time.Since(began))
	}
	for _, s := range []*server{two, three} {
		s.kill()
		if strings.Contains(s.log.String(), s3Secret) {
			t.Error("the log has the secret")
		}
	}
}

// untilStored is blobsFrom, again until the other server has put what it fetched.
func untilStored(s *server, repository string, img registrytest.Image) (err error) {
	for until := time.Now().Add(programTimeout); time.Now().Before(until); time.Sleep(time.Second) {
		if err = blobsFrom(s, repository, img); err == nil {
			return nil
		}
	}
	return err
}
