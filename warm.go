package segpull

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/sources"
)

const (
	// mostAsked is how many blobs of an image a server is asked for at once. It fetches an
	// image as a whole, so this only bounds connections.
	mostAsked = 16
	// askTries is how often a blob is asked for before it counts as failed. In between are
	// askPause, and then twice as long each time.
	askTries = 5
	askPause = time.Second
)

// checkServer refuses a Server that is neither a URL nor configured.
func (o Options) checkServer() error {
	if _, configured := o.Config.Mirror[o.Server]; configured || o.Server == "" || strings.Contains(o.Server, "://") {
		return nil
	}
	return fmt.Errorf("the server %q is neither the name of a mirror of the configuration nor http(s)://host[:port]", o.Server)
}

// serverConfig is the configuration for requests to a server: a mirror with the name of
// the server that serves all registries. opts.Config may have a table for it, as for any
// mirror.
func (o Options) serverConfig() (config sources.Config, name string) {
	config, name = o.Config, o.Server
	mirror, configured := config.Mirror[name]
	if !configured {
		mirror.URL = name
		_, name, _ = strings.Cut(name, "://")
		name = strings.TrimRight(name, "/")
	}
	yes := true
	mirror.NS, mirror.Tags, mirror.Registries = &yes, &yes, []string{"*"}
	config.Mirror = maps.Clone(config.Mirror)
	if config.Mirror == nil {
		config.Mirror = make(map[string]sources.Mirror)
	}
	config.Mirror[name] = mirror
	return config, name
}

// askServer asks the server of the call for the blobs of the image, and waits until it has
// verified them. The manifests are there: the image was resolved by it.
func (j *job) askServer(ctx context.Context) (Result, error) {
	j.announce()
	server := j.set.Sources()[0]
	blobs := smallestFirst(j.image.Blobs())
	progress := j.serverProgress(blobs)
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(mostAsked)
	for i, b := range blobs {
		group.Go(func() error {
			if err := j.askFor(asking, server, b); err != nil {
				return err
			}
			progress(i)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	j.delivered = append(j.delivered, Delivery{To: server.Name(), Name: j.name(), Digest: string(j.image.Digest)})
	return j.result(), nil
}

// serverProgress returns a function that reports that the server has a blob.
func (j *job) serverProgress(blobs []ocispec.Descriptor) (has func(i int)) {
	e := Progress{Reference: j.name(), Remaining: Duration{-1}, Sources: []SourceProgress{}}
	for _, b := range blobs {
		e.Total += b.Size
		e.Blobs = append(e.Blobs, BlobProgress{Digest: string(b.Digest), Size: b.Size})
	}
	var mu sync.Mutex
	return func(i int) {
		mu.Lock()
		defer mu.Unlock()
		b := &e.Blobs[i]
		b.Done, b.Verified = b.Size, b.Size
		e.Done += b.Size
		e.Rate = int64(float64(e.Done) / max(time.Since(j.began).Seconds(), 1e-3))
		sample := e
		sample.Blobs = append([]BlobProgress{}, e.Blobs...)
		j.call.notify(sample)
	}
}

// askFor asks the server for a blob until it has it.
func (j *job) askFor(ctx context.Context, server *sources.Source, b ocispec.Descriptor) (err error) {
	for try := range askTries {
		if try > 0 {
			j.call.trouble(server.Name(), err)
			select {
			case <-time.After(askPause << (try - 1)):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err = j.askOnce(ctx, server, b); err == nil || classOfReason(err) != ErrNetwork || ctx.Err() != nil {
			break
		}
	}
	return err
}

// askOnce asks the server for the last byte of a blob. A [Server] sends that when the
// digest of the whole blob is right, and fetches the blob as long as somebody waits.
func (j *job) askOnce(ctx context.Context, server *sources.Source, b ocispec.Descriptor) error {
	body, _, _, err := server.Open(ctx, j.image.Reference.Repository, b, max(b.Size-1, 0), b.Size)
	if err != nil {
		return &classified{err, classOfReason(err)}
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &classified{fmt.Errorf("%s: blob %s: the server ended its answer before it had the whole blob: %w; its log says why", server.Name(), b.Digest, err), ErrNetwork}
	}
	return nil
}
