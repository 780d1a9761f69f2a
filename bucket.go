package segpull

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/verify"
)

const (
	// putGrace is how long a put may still take when a server ends.
	putGrace = time.Second
	// putSilence is how long a pull waits for puts until it says so.
	putSilence = 2 * time.Second
)

// openBucket opens the bucket behind the cache, if the configuration names one.
func (c *call) openBucket() (err error) {
	if c.opts.Config.Cache == "" {
		return nil
	}
	if c.bucket, err = bucket.Open(bucket.Options{URL: c.opts.Config.Cache, Warn: c.warn}); err != nil {
		return fmt.Errorf("cache in the configuration: %w", err)
	}
	return nil
}

// finishPuts waits until the bucket has what the call has fetched, or ctx ends.
func (c *call) finishPuts(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, putSilence)
	defer cancel()
	c.bucket.Flush(soon)
	if n := c.bucket.Putting(); n > 0 && ctx.Err() == nil {
		c.warn(fmt.Sprintf("%d blobs are still being put into %s; the images are complete, so you may interrupt this", n, c.bucket.Name()))
		c.bucket.Flush(ctx)
	}
}

// fromBucket reports whether the bucket has sent wrong bytes, and if so says that.
func (c *call) fromBucket(f verify.Finding, use string) bool {
	if c.bucket == nil || f.Source != c.bucket.Name() {
		return false
	}
	c.bucket.Wrong(digest.Digest(f.Blob))
	c.warn(fmt.Sprintf("%s returned wrong bytes and %s: %s; segpull replaces or deletes the object", f.Source, use, f.Proof))
	return true
}
