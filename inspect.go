package segpull

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/download"
)

// Inspection is what an image is, and what a Pull of it would still fetch. Sizes are
// bytes. Lists are never nil.
type Inspection struct {
	Reference string            `json:"reference"`  // as in Resolved
	Digest    string            `json:"digest"`     // of the index or manifest that the reference names
	MediaType string            `json:"media_type"` // of the same
	Platforms []PlatformImage   `json:"platforms"`  // those of the index, or the one of a manifest without index
	Platform  string            `json:"platform"`   // that Pull would take, OS/ARCH[/VARIANT]
	Manifest  string            `json:"manifest"`   // digest of its manifest
	ImageID   string            `json:"image_id"`   // digest of its config
	Size      int64             `json:"size"`       // of the config and each distinct layer
	ToFetch   int64             `json:"to_fetch"`   // of Size, what is not on disk
	Layers    []LayerInspection `json:"layers"`     // the base layer first; a digest may occur twice
}

// PlatformImage is the image for one platform.
type PlatformImage struct {
	Platform string `json:"platform"` // OS/ARCH[/VARIANT]; "" if the index does not give it
	Digest   string `json:"digest"`   // of the manifest
	Size     int64  `json:"size"`     // of the manifest, in bytes
}

// LayerInspection is a layer of an image.
type LayerInspection struct {
	Digest    string `json:"digest"`
	Size      int64  `json:"size"` // bytes
	MediaType string `json:"media_type"`
	ToFetch   int64  `json:"to_fetch"` // bytes that are not on disk; 0 for a digest that occurred before
}

// Inspect resolves the image that ref names, as Pull does, and returns what it is. It
// fetches no layer, and changes nothing but the cache, if opts has one: there it leaves
// the manifests, and marks what it found as used.
//
// Inspection.ToFetch is what Pull would fetch with the same options: it counts neither
// an archive that is in its place, complete and right, nor what an earlier pull has left
// beside it, nor blobs of the cache. Like Pull, Inspect hashes an archive to know that it
// is right; opts.Observer receives the progress.
//
// Inspect ignores AllPlatforms, Load and To: it looks at one platform, and at the archive
// that Pull would write.
//
// Errors have the classes of those of Pull. Several calls may run at the same time.
func Inspect(ctx context.Context, ref string, opts Options) (Inspection, error) {
	opts.AllPlatforms, opts.Load, opts.To = false, "", ""
	c, err := newCall(opts)
	if err != nil {
		return Inspection{}, err
	}
	defer c.close()
	i, err := c.inspect(ctx, ref)
	return i, class.MarkKnown(err)
}

func (c *call) inspect(ctx context.Context, ref string) (Inspection, error) {
	j := &job{call: c, written: ref}
	if err := j.parse(); err != nil {
		return Inspection{}, err
	}
	c.report.warnOfAliases(c.opts.Config, []string{ref})
	places, err := c.places(1)
	if err != nil {
		return Inspection{}, err
	}
	if err := j.resolve(ctx, image.Reference{}, true); err != nil {
		return Inspection{}, err
	}
	name, err := c.opts.name([]*job{j})
	if err != nil {
		return Inspection{}, err
	}
	j.image.Name, j.place = name, places.Of(j.image)
	defer j.close()
	missing, err := j.toFetch(ctx)
	if err != nil {
		return Inspection{}, fmt.Errorf("%s: %w", j.name(), err)
	}
	return j.describe(missing), nil
}

// toFetch returns how many bytes of each blob are not on disk.
func (j *job) toFetch(ctx context.Context) (map[digest.Digest]int64, error) {
	if _, err := j.plan(); err != nil {
		return nil, err
	}
	if exists, err := j.findExisting(ctx); err != nil || exists {
		return make(map[digest.Digest]int64), err
	}
	blobs := slices.Clone(j.blobs)
	for i := range blobs {
		if blobs[i].Digest == j.image.Config.Digest {
			blobs[i].Data = nil // ReadPlatform has fetched it, and Pull would as well
		}
	}
	return download.Missing(ctx, j.place, blobs, j.call.cache)
}

// describe returns the inspection of the job's image.
func (j *job) describe(missing map[digest.Digest]int64) Inspection {
	img := j.image
	i := Inspection{
		Reference: j.name(),
		Digest:    img.Digest.String(),
		MediaType: img.MediaType,
		Platforms: []PlatformImage{},
		Platform:  img.Platform.String(),
		Manifest:  img.Manifest.Digest.String(),
		ImageID:   img.Config.Digest.String(),
		Size:      img.Size(),
		ToFetch:   missing[img.Config.Digest],
		Layers:    []LayerInspection{},
	}
	for _, p := range img.Listed {
		platform := ""
		if p.Platform != (image.Platform{}) {
			platform = p.Platform.String()
		}
		i.Platforms = append(i.Platforms, PlatformImage{platform, p.Digest.String(), p.Size})
	}
	own := slices.IndexFunc(i.Platforms, func(p PlatformImage) bool { return p.Digest == i.Manifest })
	if own < 0 {
		own, i.Platforms = len(i.Platforms), append(i.Platforms, PlatformImage{Digest: i.Manifest, Size: img.Manifest.Size})
	}
	i.Platforms[own].Platform = i.Platform
	delete(missing, img.Config.Digest)
	for _, l := range img.Layers {
		i.ToFetch += missing[l.Digest]
		i.Layers = append(i.Layers, LayerInspection{l.Digest.String(), l.Size, l.MediaType, missing[l.Digest]})
		delete(missing, l.Digest)
	}
	return i
}
