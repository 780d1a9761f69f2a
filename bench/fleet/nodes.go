package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/bench/client"
	"github.com/segpull/segpull/bench/fleetsim"
)

// pulled is what a node got.
type pulled struct {
	began time.Time
	took  time.Duration
	blobs []client.Blob
}

// ask is how a node gets its image from a server.
type ask func(ctx context.Context, c *client.Client, image int) ([]client.Blob, error)

// pullAll lets all nodes pull from a server, over their links unless these have no limit,
// and returns what each got and the time until the last of them had all.
func (p plan) pullAll(ctx context.Context, server string, linked bool, get ask) ([]pulled, time.Duration, error) {
	got := make([]pulled, len(p.Pulls))
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i, pull := range p.Pulls {
		group.Go(func() (err error) {
			opts := client.Options{AtOnce: p.AtOnce}
			if linked {
				opts.Dial = newLink(p.Links[pull.Node]).dial
				if err := waitUntil(ctx, began.Add(pull.At)); err != nil {
					return err
				}
			}
			got[i], err = pullOne(ctx, server, pull, opts, get)
			return err
		})
	}
	err := group.Wait()
	return got, time.Since(began), err
}

func pullOne(ctx context.Context, server string, pull fleetsim.Pull, opts client.Options, get ask) (pulled, error) {
	c := client.New(server+"/v2/"+repository(pull.Image), opts)
	defer c.Close()
	began := time.Now()
	blobs, err := get(ctx, c, pull.Image)
	if err != nil {
		return pulled{}, fmt.Errorf("node %d: %w", pull.Node, err)
	}
	return pulled{began, time.Since(began), blobs}, nil
}

func waitUntil(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// byTag pulls an image as an engine does.
func byTag(ctx context.Context, c *client.Client, _ int) ([]client.Blob, error) {
	return c.Pull(ctx, tag)
}

// blobsOnly fetches only the blobs of an image.
func (p plan) blobsOnly(ctx context.Context, c *client.Client, image int) ([]client.Blob, error) {
	var all []digest.Digest
	for _, b := range blobsOf(p.images[image]) {
		all = append(all, b.Digest)
	}
	return c.Blobs(ctx, all)
}

// firstBytes are the times from the requests for blobs to their first bytes: of those
// that were asked for before an origin could have the whole blob, and of the others.
func firstBytes(all []pulled, whole map[digest.Digest]time.Time) (cold, warm []time.Duration) {
	for _, p := range all {
		for _, b := range p.blobs {
			took := b.First - b.Asked
			if p.began.Add(b.Asked).Before(whole[b.Digest]) {
				cold = append(cold, took)
			} else {
				warm = append(warm, took)
			}
		}
	}
	return cold, warm
}
