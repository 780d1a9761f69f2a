package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/sources"
)

// cacheHelp is written by hand, like help.
//
//go:embed cache.txt
var cacheHelp string

const seeCacheHelp = "; run 'segpull cache --help'"

// cacheCommand returns the command with the verbs for the cache.
func (a *app) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cache",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("cache %s is unknown: use add, ls, verify, prune or export DIR%s", args[0], alsoAnImage("cache"))
			}
			return usagef("cache needs one of add, ls, verify, prune or export DIR%s", alsoAnImage("cache"))
		},
		Run: func(*cobra.Command, []string) {}, // Args never permits it
	}
	prune := a.cacheVerb("prune", 0, a.prune)
	a.defineCacheSize(prune.Flags())
	prune.Flags().TextVar(&a.olderThan, "older-than", sources.Duration{}, "")
	export := a.cacheVerb("export", 1, a.export)
	export.ValidArgsFunction = cobra.FixedCompletions(nil, directories)
	cmd.AddCommand(a.addCommand(), a.cacheVerb("ls", 0, a.list), a.cacheVerb("verify", 0, a.verify), prune, export)
	return cmd
}

// cacheVerb returns the command for one of the verbs, with so many arguments.
func (a *app) cacheVerb(name string, arguments int, run func(*cobra.Command, *cache.Cache, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < arguments {
				return usagef("cache %s needs a directory%s", name, seeCacheHelp)
			}
			if len(args) > arguments {
				return usagef("cache %s does not know %q%s", name, args[arguments], seeCacheHelp)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.openCache(cmd)
			if err != nil {
				return err
			}
			err = run(cmd, c, args)
			if _, path := errors.AsType[*fs.PathError](err); path {
				return fmt.Errorf("cannot use the cache %s: %w", c.Dir(), err)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "")
	a.defineCache(cmd.Flags())
	return cmd
}

// openCache returns the cache that the flags, the environment or the configuration
// names, or else the default one.
func (a *app) openCache(cmd *cobra.Command) (*cache.Cache, error) {
	a.set = cmd.Flags()
	config, err := a.load()
	if err != nil {
		return nil, usagef("%v", err)
	}
	a.inheritCache(config)
	dir := cmp.Or(a.cacheDir, cache.DefaultDir())
	if dir == "" {
		return nil, usagef("no home directory, so the cache has no default place: name it with --cache-dir")
	}
	limit := int64(a.cacheSize)
	if limit == 0 && !a.set.Changed("cache-size") {
		limit = cache.DefaultLimit
	}
	return cache.New(dir, limit), nil
}

// print prints a result: as JSON, or as text.
func (a *app) print(result any, text string) error {
	if a.json {
		text = string(encode(result))
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

func (a *app) list(cmd *cobra.Command, c *cache.Cache, _ []string) error {
	l, err := c.List(cmd.Context())
	if err != nil {
		return err
	}
	return a.print(l, listText(l, c.Dir(), time.Now()))
}

// listText is a table of the images in at most 80 columns, and a sum.
func listText(l cache.Listing, dir string, now time.Time) string {
	const mostName = 80 - len("  sha256:0123456789ab  99.9 MiB  incomplete")
	width := pb.CellCount(say("IMAGE"))
	for _, i := range l.Images {
		width = max(width, min(len(nameOf(i)), mostName))
	}
	var b strings.Builder
	row := func(name, digest, size, used string) {
		fmt.Fprintf(&b, "%s  %s  %s  %s\n", pad(fitEnd(name, width), width), pad(digest, digestCells), padLeft(size, 8), used)
	}
	if len(l.Images) > 0 {
		row(say("IMAGE"), say("DIGEST"), say("SIZE"), say("USED"))
	}
	for _, i := range l.Images {
		used := say("%s ago", durationText(now.Sub(i.LastUsed)))
		if !i.Complete {
			used = say("incomplete")
		}
		row(nameOf(i), shortDigest(i.Digest.String()), bytesText(i.Size), used)
	}
	if l.Unfinished > 0 {
		b.WriteString(say("%s, %s, %s, and %s of unfinished blobs, in %s\n", images(len(l.Images)), blobs(len(l.Blobs)), bytesText(l.Size), bytesText(l.Unfinished), dir))
	} else {
		b.WriteString(say("%s, %s, %s in %s\n", images(len(l.Images)), blobs(len(l.Blobs)), bytesText(l.Size), dir))
	}
	return b.String()
}

// nameOf returns the name of an image as the user would write it.
func nameOf(i cache.Image) string {
	return image.Reference{Registry: i.Registry, Repository: i.Repository, Tag: i.Tag}.Familiar()
}

func images(n int) string { return plural(n, "%d image", "%d images") }
func blobs(n int) string  { return plural(n, "%d blob", "%d blobs") }

func (a *app) verify(cmd *cobra.Command, c *cache.Cache, _ []string) error {
	v, err := c.Verify(cmd.Context())
	if err != nil {
		return err
	}
	if err := a.print(v, say("%s, %s in %s: %d damaged\n", blobs(v.Blobs), bytesText(v.Bytes), c.Dir(), len(v.Damaged))); err != nil {
		return err
	}
	if len(v.Damaged) > 0 {
		return &damagedError{v.Damaged}
	}
	return nil
}

// damagedError says that blobs of the cache were damaged.
type damagedError struct{ blobs []digest.Digest }

func (e *damagedError) Error() string {
	var names []string
	for _, d := range e.blobs {
		names = append(names, d.String())
	}
	return fmt.Sprintf("removed from the cache, because the bytes were wrong: %s; the next pull of the image fetches them again; check the disk", strings.Join(names, ", "))
}

// Is gives it the class segpull.ErrMismatch.
func (e *damagedError) Is(target error) bool { return target == segpull.ErrMismatch }

func (a *app) prune(cmd *cobra.Command, c *cache.Cache, _ []string) error {
	var before time.Time
	if a.set.Changed("older-than") {
		before = time.Now().Add(-a.olderThan.Duration)
	}
	e, err := c.Prune(cmd.Context(), before)
	if err != nil {
		return err
	}
	text := say("removed %s, %s, %s from %s\n", images(e.Images), blobs(e.Blobs), bytesText(e.Bytes), c.Dir())
	if e == (cache.Evicted{}) {
		text = say("nothing to remove: %s has at most %s\n", c.Dir(), bytesText(c.Limit()))
		if !before.IsZero() {
			text = say("nothing to remove: %s has at most %s, and all of it was used in the last %s\n", c.Dir(), bytesText(c.Limit()), durationText(a.olderThan.Duration))
		}
	}
	return a.print(e, text)
}

func (a *app) export(cmd *cobra.Command, c *cache.Cache, args []string) error {
	added, incomplete, err := c.Export(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	names := []string{}
	for _, i := range incomplete {
		names = append(names, nameOf(i))
		io.WriteString(a.stderr, say("segpull: %s is not complete in the cache, and is left out: pull it again\n", nameOf(i)))
	}
	if added == 0 {
		return fmt.Errorf("the cache %s has no complete image: pull one with --cache-dir, or name another cache", c.Dir())
	}
	return a.print(struct {
		Exported   int      `json:"exported"`
		Incomplete []string `json:"incomplete"`
	}{added, names}, say("%s in %s\n", images(added), args[0]))
}
