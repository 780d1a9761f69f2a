package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/segpull/segpull"
)

// inspectHelp is written by hand, like help.
//
//go:embed inspect.txt
var inspectHelp string

const seeInspectHelp = "; run 'segpull inspect --help'"

func (a *app) inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect",
		Args: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return usagef("inspect needs an image%s%s", seeInspectHelp, alsoAnImage("inspect"))
			case 1:
				return nil
			}
			return usagef("inspect takes one image, and %q is another%s", args[1], seeInspectHelp)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.set = cmd.Flags()
			return a.inspect(cmd.Context(), args[0])
		},
	}
	a.defineInspect(cmd.Flags())
	return cmd
}

// defineInspect binds the flags of inspect, which have the meaning that they have in a pull.
func (a *app) defineInspect(set *pflag.FlagSet) {
	set.BoolVar(&a.json, "json", false, "")
	a.defineImage(set)
	a.defineCache(set)
	set.BoolVarP(&a.quiet, "quiet", "q", false, "")
	set.BoolVarP(&a.verbose, "verbose", "v", false, "")
}

func (a *app) inspect(ctx context.Context, ref string) error {
	config, err := a.inherit()
	if err != nil {
		return err
	}
	if err := a.findMirrors(ctx, &config); err != nil {
		return err
	}
	var views []view
	if !a.quiet {
		views = []view{waits{a.notices()}}
	}
	feed := newFeed(views, a.verbose)
	a.tellDoubts(feed)
	opts := a.imageOptions(config)
	opts.Stdout, opts.Observer = io.Discard, feed // Stdout is the archive's, for -o -
	i, err := segpull.Inspect(ctx, ref, opts)
	feed.close(ctx)
	if err != nil {
		return err
	}
	return a.print(i, inspectionText(i))
}

// waits shows notices, and what inspect waits for.
type waits struct{ notices }

func (w waits) show(at time.Time, e segpull.Event) {
	if e, ok := e.(segpull.Waiting); ok {
		fmt.Fprintln(w.out, waitingLine(e))
		return
	}
	w.notices.show(at, e)
}

// inspectionText describes an image in at most 80 columns, except for long names and media types.
func inspectionText(i segpull.Inspection) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%s %s\n", pad(name, 8), oneLine(value)) }
	line(say("image"), i.Reference)
	line(say("digest"), i.Digest)
	line(say("type"), i.MediaType)
	line(say("platform"), i.Platform)
	line(say("manifest"), i.Manifest)
	line(say("image ID"), i.ImageID)

	width := pb.CellCount(say("PLATFORM"))
	for _, p := range i.Platforms {
		width = max(width, len(p.Platform))
	}
	fmt.Fprintf(&b, "\n%s  %s\n", pad(say("PLATFORM"), width), say("MANIFEST"))
	for _, p := range i.Platforms {
		fmt.Fprintf(&b, "%-*s  %s\n", width, p.Platform, shortDigest(p.Digest))
	}

	fmt.Fprintf(&b, "\n%s  %s  %s  %s\n", pad(say("LAYER"), digestCells), padLeft(say("SIZE"), 8), padLeft(say("TO FETCH"), 8), say("TYPE"))
	for _, l := range i.Layers {
		fmt.Fprintf(&b, "%s  %8s  %8s  %s\n", shortDigest(l.Digest), bytesText(l.Size), bytesText(l.ToFetch), layerType(l.MediaType))
	}
	b.WriteString(say("%s with config: %s, %s to fetch\n", plural(len(i.Layers), "%d layer", "%d layers"), bytesText(i.Size), bytesText(i.ToFetch)))
	return b.String()
}

// layerType is the part of a layer's media type that differs between layers: tar+gzip.
func layerType(mediaType string) string {
	for _, prefix := range []string{"application/vnd.oci.image.layer.v1.", "application/vnd.docker.image.rootfs."} {
		mediaType = strings.TrimPrefix(mediaType, prefix)
	}
	return fit(oneLine(mediaType), 80-digestCells-len("  99.9 MiB  99.9 MiB  "))
}
