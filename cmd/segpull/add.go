package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/sources"
)

// addCommand returns the command that fetches images into the cache, or makes a server do
// so.
func (a *app) addCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "add",
		Args: func(_ *cobra.Command, refs []string) error {
			if len(refs) == 0 && len(a.inputs) == 0 {
				return usagef("cache add needs an image, or a list of images with --input%s", seeCacheHelp)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, refs []string) error {
			a.set, a.cacheOnly = cmd.Flags(), true
			return a.add(cmd.Context(), refs)
		},
	}
	set := cmd.Flags()
	a.defineMirrors(set)
	set.StringVar(&a.platform, "platform", "", "")
	set.TextVar(&a.giveUpAfter, "give-up-after", sources.Duration{}, "")
	a.defineFetch(set)
	set.StringVar(&a.server, "server", "", "")
	return cmd
}

// ownOfFetch are the flags that say how this process fetches, which a server decides
// itself.
var ownOfFetch = []string{"mirror", "mirrors-from", "limit-rate", "connections", "segment-size", "no-race", "cache-dir", "cache-size"}

// placeAdded finds the cache or the server of cache add.
func (a *app) placeAdded() error {
	if !a.cacheOnly {
		return nil
	}
	if a.set.Changed("server") {
		for _, name := range ownOfFetch {
			if a.set.Changed(name) {
				return usagef("--%s does not go with --server: the server has its own mirrors, cache and limits%s", name, seeCacheHelp)
			}
		}
		if a.server == "" {
			return usagef("--server needs the http(s) URL of a segpull serve, or the name of a mirror of the configuration")
		}
		a.cacheDir, a.mirrorsFrom = "", []string{"none"}
		return nil
	}
	if a.cacheDir = cmp.Or(a.cacheDir, cache.DefaultDir()); a.cacheDir == "" {
		return usagef("no home directory, so the cache has no default place: name it with --cache-dir")
	}
	return nil
}

// add fetches the images, and prints what the cache or the server has of them.
func (a *app) add(ctx context.Context, refs []string) error {
	var t tally
	a.watcher = &t
	err := a.pull(ctx, refs)
	if len(t.results) == 0 || a.quiet || a.progress == "json" || a.progress == "none" {
		return err
	}
	fmt.Fprintln(a.stderr, t.summary(a.server, a.cacheDir))
	if a.server == "" {
		a.warnOfEvicted(ctx, t.results)
	}
	return err
}

// tally collects the images of a pull that are complete.
type tally struct{ results []segpull.Result }

// Observe implements segpull.Observer.
func (t *tally) Observe(e segpull.Event) {
	if f, ok := e.(segpull.Finished); ok {
		t.results = append(t.results, f.Result)
	}
}

// summary says what the server, or else the cache, has got.
func (t *tally) summary(server, dir string) string {
	var size, fetched int64
	for _, r := range t.results {
		size += r.Size
		fetched += r.Fetched
	}
	if server != "" {
		return say("%s: %s, %s", server, images(len(t.results)), bytesText(size))
	}
	return say("%s: %s, %s, of which %s were fetched", dir, images(len(t.results)), bytesText(size), bytesText(fetched))
}

// warnOfEvicted warns of images that have left the cache again, to make room for others.
func (a *app) warnOfEvicted(ctx context.Context, results []segpull.Result) {
	size := int64(a.cacheSize)
	listing, err := cache.New(a.cacheDir, cmp.Or(size, cache.DefaultLimit)).List(ctx)
	if err != nil {
		return // the pull would have failed
	}
	here := make(map[string]bool)
	for _, b := range listing.Blobs {
		here[b.Digest.String()] = true
	}
	evicted := 0
	for _, r := range results {
		if !here[r.Digest] {
			evicted++
		}
	}
	if evicted > 0 {
		fmt.Fprintln(a.stderr, noticeLine(segpull.Warning{Message: fmt.Sprintf("%d of the images left the cache again, which has room for %s: allow more with --cache-size",
			evicted, bytesText(cmp.Or(size, cache.DefaultLimit)))}, false))
	}
}
