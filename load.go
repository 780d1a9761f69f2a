package segpull

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/engine"
	"github.com/segpull/segpull/state"
)

// Engines returns the names for Options.Load besides "auto", in the order in which that
// tries them.
func Engines() []string { return engine.Names() }

// findEngine finds the engine that Options.Load names.
func (c *call) findEngine(ctx context.Context) (err error) {
	if c.opts.Load != "" {
		c.engine, err = engine.Find(ctx, c.opts.Load)
	}
	return err
}

// loads returns a function for all jobs of a call, which refuses a second image for one
// name in the engine, such as that of another platform: it would take the name from the
// first.
func (c *call) loads() func(*job) error {
	seen := make(map[string]bool)
	return func(j *job) error {
		ref := j.image.Reference
		if c.opts.Load == "" || ref.Tag == "" {
			return nil
		}
		name := ref.Name() + ":" + ref.Tag
		if seen[name] {
			return usage(fmt.Errorf("%s for %s: two images would be loaded as %s: load them one by one, with another --name", ref, j.image.Platform, name))
		}
		seen[name] = true
		return nil
	}
}

// loadsDir reports whether the engine reads a directory, in which each blob has a file.
func (c *call) loadsDir() bool { return c.opts.Load != "" && c.engine.ReadsDir() }

// cache returns where the job fetches blobs to, if not to the part file: the cache of the
// call, or one that is removed when the engine has the image.
func (j *job) cache() *cache.Cache {
	if j.call.cache == nil && j.call.loadsDir() {
		return cache.New(j.blobsDir(), 0) // it is not evicted
	}
	return j.call.cache
}

// ownBlobs is the name of the job's own cache in the part directory, whose lock is its lock,
// too.
const ownBlobs = "blobs"

func (j *job) blobsDir() string { return filepath.Join(state.Dir(j.out.work), ownBlobs) }

// deliver gives the image to the engine, and completes it in the registry.
func (j *job) deliver(ctx context.Context) error {
	if err := j.load(ctx); err != nil {
		return err
	}
	return j.pushManifests(ctx)
}

// load gives the image to the engine, if the call has one.
func (j *job) load(ctx context.Context) error {
	if j.call.opts.Load == "" {
		return nil
	}
	to, img := j.call.engine, j.loaded()
	var sent atomic.Int64
	end := j.reportSending(ctx, to.Name(), &sent)
	var err error
	if to.ReadsDir() {
		err = j.loadDir(ctx, img)
	} else {
		err = to.Load(ctx, img, func(w io.Writer) error { return j.writeFor(ctx, counter{w, &sent}) })
	}
	end(err)
	switch {
	case err != nil && to.Name() == "docker" && j.hasZstd():
		return fmt.Errorf("%w; Docker before version 23 reads no zstd layers: add --format legacy and run the command again: segpull keeps what it fetched", err)
	case err != nil:
		return fmt.Errorf("%w; segpull keeps what it fetched: run the same command again", err)
	}
	j.delivered = append(j.delivered, Delivery{To: to.Name(), Name: to.NameOf(img), Digest: img.Digest})
	return nil
}

// hasZstd reports whether a layer is compressed by zstd, and the engine would get it so.
func (j *job) hasZstd() bool {
	return j.call.format != archive.Legacy && slices.ContainsFunc(j.image.Layers, func(l ocispec.Descriptor) bool {
		return strings.HasSuffix(l.MediaType, "zstd")
	})
}

// reportSending reports how much of the image has been sent, until end is called with the
// error of that.
func (j *job) reportSending(ctx context.Context, to string, sent *atomic.Int64) (end func(err error)) {
	sending, began, before := Sending{Reference: j.name(), To: to, Total: j.image.Size()}, time.Now(), sent.Load()
	report := func() {
		sending.Done = min(sent.Load(), sending.Total)
		sending.Rate = int64(float64(sending.Done-before) / max(time.Since(began).Seconds(), 1e-3))
		j.call.notify(sending)
	}
	report()
	sampling, stop := context.WithCancel(ctx)
	var reports sync.WaitGroup
	reports.Go(func() { sample(sampling, report) })
	return func(err error) {
		stop()
		reports.Wait()
		if err == nil {
			sent.Store(sending.Total)
			report()
		}
	}
}

// loaded describes the image for the engine.
func (j *job) loaded() engine.Image {
	name := j.image.ArchiveName()
	img := engine.Image{
		Repository: j.image.Reference.Name(),
		Digest:     string(j.image.Manifest.Digest),
		ID:         string(j.image.Config.Digest),
		Platform:   j.image.Platform.String(),
	}
	if name.Tag != "" {
		img.Name = name.Name() + ":" + name.Tag
	}
	return img
}

// writeFor writes the archive that engines read.
func (j *job) writeFor(ctx context.Context, w io.Writer) error {
	format := archive.DockerArchive
	if j.call.format == archive.Legacy {
		format = archive.Legacy
	}
	return archive.Write(ctx, w, j.image, format, j)
}

// counter counts what is written.
type counter struct {
	io.Writer
	sent *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// loadDir lets the engine read the blobs where they are, in the cache. Those of an archive
// that was there before have no files of their own, so they get them.
func (j *job) loadDir(ctx context.Context, img engine.Image) error {
	// The name of an image in podman, until LoadDir gives it the right one.
	dir := filepath.Join(state.Dir(j.out.work), "podman", "segpull-"+j.image.Manifest.Digest.Encoded()[:12])
	err := os.MkdirAll(filepath.Dir(dir), 0o700)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(dir))
	if j.cached != nil {
		err = archive.LinkDir(dir, j.image, j.cached.cache.Path)
	} else {
		err = archive.WriteDir(ctx, dir, j.image, j)
	}
	if err != nil {
		return err
	}
	return j.call.engine.LoadDir(ctx, img, dir)
}
