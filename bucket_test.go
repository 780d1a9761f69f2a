package segpull_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/buckettest"
	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/registrytest"
	"github.com/segpull/segpull/sources"
)

// shared are options of a pull with a cache of its own and a bucket behind it.
func shared(t *testing.T, s3 *buckettest.Server) segpull.Options {
	return segpull.Options{CacheDir: t.TempDir(), Config: sources.Config{Cache: s3.URL("team")}, NoRace: true}
}

// TestPullsShareABucket pulls an image twice at once, into two caches, then into a third
// one: the mirrors send each blob once, and the output is the same.
func TestPullsShareABucket(t *testing.T) {
	t.Parallel()
	s3, img := buckettest.Start(t, 0), pulltest.ImageOf(1, 6*mib, 2*mib)
	m := pulltest.Serve(t, 2, img)
	for _, server := range m.Servers {
		server.Throttle(4 * mib)
	}
	var pulls sync.WaitGroup
	for range 2 {
		pulls.Go(func() { m.MustPull(t, shared(t, s3)) })
	}
	pulls.Wait()
	if sent, need := m.ServedBesides(img), pulltest.BlobsOf(img); float64(sent) > 1.2*float64(need) { // a request that ends early leaves some unread
		t.Errorf("the mirrors sent %d bytes of %d", sent, need)
	}
	for _, server := range m.Servers {
		server.Misbehave(registrytest.Raw("", "", 0).On(registrytest.KindBlob))
	}
	rec := &pulltest.Recorder{}
	opts := shared(t, s3)
	opts.Observer = rec
	result := m.MustPull(t, opts)
	for _, share := range result.Sources {
		if fromBucket := strings.HasPrefix(share.Name, "s3://"); fromBucket != (share.Bytes > 0) {
			t.Errorf("%s sent %d bytes", share.Name, share.Bytes)
		}
	}
	if warnings := pulltest.EventsOf[segpull.Warning](rec); len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	if _, err := os.Stat(result.Path); err != nil {
		t.Error(err)
	}
}

// TestAPullWaitsForItsPuts and says so, and an interrupt ends that.
func TestAPullWaitsForItsPuts(t *testing.T) {
	t.Parallel()
	s3, m := buckettest.Start(t, 0), pulltest.Serve(t, 1, pulltest.ImageOf(1, mib))
	s3.Misbehave(buckettest.Hang().On("sha256", "PUT"))
	ctx, interrupt := context.WithCancel(t.Context())
	rec := &pulltest.Recorder{}
	opts := shared(t, s3)
	opts.Observer = rec
	ended := make(chan error)
	go func() {
		_, err := m.PullContext(ctx, t, opts)
		ended <- err
	}()
	said := func() bool {
		for _, w := range pulltest.EventsOf[segpull.Warning](rec) {
			if strings.Contains(w.Message, "still being put into s3://blobs/team") {
				return true
			}
		}
		return false
	}
	for !said() && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("the image is complete, and the pull ended with %v", err)
	}
}

// TestABucketThatIsWrittenWrong ends a pull before any request.
func TestABucketThatIsWrittenWrong(t *testing.T) {
	t.Parallel()
	m := pulltest.Serve(t, 1, pulltest.ImageOf(1, mib))
	_, err := m.Pull(t, segpull.Options{CacheDir: t.TempDir(), Config: sources.Config{Cache: "s3://key:hidden@blobs"}})
	if !errors.Is(err, segpull.ErrUsage) || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Error(err)
	}
}
