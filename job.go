package segpull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/class"
	"github.com/segpull/segpull/internal/deliver"
	"github.com/segpull/segpull/internal/download"
	"github.com/segpull/segpull/internal/output"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// job is the pull of one image.
type job struct {
	call     *call
	index    int    // among the references of the call
	written  string // the reference, as the caller wrote it
	image    image.Image
	set      *sources.Set
	place    *output.Place
	target   *deliver.Target // in a registry; nil: none
	resolver string          // name of the source that resolved the tag
	asked    time.Time       // when the tag was asked for

	blobs     []ocispec.Descriptor // that this machine gets
	content   content              // where they are; nil at first
	download  *download.Download   // the same, or nil if the archive existed and was right
	push      *deliver.Push        // of the image; nil: it is not pushed
	announced bool
	delivered []Delivery
	began     time.Time
}

// content is where the blobs of a job are: in an archive that existed, or in a download.
type content interface {
	deliver.Content
	Done(i int) (done, hashed int64)
	Close()
}

// name returns the reference as the user would write it, or as the caller wrote it if it is invalid.
func (j *job) name() string {
	if j.image.Reference == (image.Reference{}) {
		return image.WithoutUser(j.written)
	}
	return j.image.Reference.Display()
}

func (j *job) run(ctx context.Context) (Result, error) {
	j.began = time.Now()
	if j.call.opts.Server != "" {
		return j.askServer(ctx)
	}
	if there, err := j.inRegistry(ctx); err != nil {
		return Result{}, err
	} else if there {
		return j.upToDateThere()
	}
	placements, err := j.plan()
	if err != nil {
		return Result{}, err
	}
	if exists, err := j.findExisting(ctx); err != nil {
		return Result{}, err
	} else if exists {
		return j.upToDate(ctx)
	}
	if err := j.open(ctx, placements); err != nil {
		return Result{}, err
	}
	j.announce()
	if err := j.fetchAndPush(ctx); err != nil {
		return Result{}, err
	}
	j.warnOfUseless()
	if err := j.checkPlatform(); err != nil {
		return Result{}, err
	}
	if err := j.place.Write(ctx, j.image, j.download.Store(), j); err != nil {
		return Result{}, fmt.Errorf("write %s: %w", j.place.Path, err)
	}
	if err := j.deliver(ctx); err != nil {
		return Result{}, err
	}
	if err := j.download.Remove(); err != nil {
		j.warnOfDir(err)
	}
	if err := j.download.Keep(ctx, j.tag()); err != nil {
		j.call.report.warnf("%s is complete, but segpull could not update the cache: %v", j.name(), err)
	}
	return j.result(), nil
}

// plan lists the blobs, and returns where each goes.
func (j *job) plan() ([]state.Placement, error) {
	j.blobs = j.image.Blobs()
	if j.push != nil {
		j.blobs = j.push.Needed()
	}
	smallestFirst(j.blobs)
	return j.place.Plan(j.image, j.blobs)
}

// smallestFirst sorts blobs in the order in which to fetch them: the first complete blob
// shows a corrupt source, so a small one shows it early.
func smallestFirst(blobs []ocispec.Descriptor) []ocispec.Descriptor {
	slices.SortStableFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Size, b.Size) })
	return blobs
}

// findExisting reports whether the archive is in its place already, complete and
// right. The error is the cause of ctx.
func (j *job) findExisting(ctx context.Context) (bool, error) {
	existing := j.place.Existing(j.blobs)
	if existing == nil {
		return false, nil
	}
	j.content = existing
	j.announce()
	if j.sampled(ctx, existing.Hash) == nil {
		return true, nil
	}
	existing.Close()
	j.content = nil
	return false, context.Cause(ctx)
}

// upToDate ends the pull of an image whose archive exists.
func (j *job) upToDate(ctx context.Context) (Result, error) {
	j.reportProgress()
	if err := j.checkPlatform(); err != nil {
		return Result{}, err
	}
	if err := j.pushBlobs(ctx); err != nil {
		return Result{}, err
	}
	if err := j.deliver(ctx); err != nil {
		return Result{}, err
	}
	if err := download.Tidy(j.place, j.blobs); err != nil {
		j.warnOfDir(err)
	}
	r := j.result()
	r.UpToDate, r.Resumed = true, r.Size
	return r, nil
}

func (j *job) warnOfDir(err error) {
	j.call.report.warnf("the image is complete, but segpull could not remove its part directory: %v; remove it by hand", err)
}

// open finds what is on disk of the blobs, and prepares the download of the rest.
func (j *job) open(ctx context.Context, placements []state.Placement) (err error) {
	c := j.call
	opts := c.mirrors.Transfer(j.set, j.image.Reference)
	opts.Resolver = j.resolver
	j.download, err = download.Open(ctx, download.Options{
		Image: j.name(), Blobs: j.blobs, Place: j.place, Placements: placements,
		Cache: c.cache, Root: j.image.Digest, Files: c.loadsDir(), Bucket: c.bucket,
		Transfer: opts, HistoryFile: c.opts.History, Adopt: j.adopt, Warn: c.report.warn,
	})
	if err != nil {
		return err
	}
	j.content = j.download
	j.warnOfDoubted(opts.History)
	return nil
}

// adopt returns a blob of an earlier image of this call, or of the layout that is the
// output, and how to close it.
func (j *job) adopt(ctx context.Context, b ocispec.Descriptor) (*io.SectionReader, func()) {
	for _, other := range j.call.done {
		if i := slices.IndexFunc(other.blobs, func(d ocispec.Descriptor) bool { return d.Digest == b.Digest }); i >= 0 {
			return other.content.Section(i), func() {}
		}
	}
	f, err := j.place.OpenBlob(ctx, b)
	if err != nil {
		return nil, nil
	}
	return io.NewSectionReader(f, 0, b.Size), func() { f.Close() }
}

// fetch fetches the missing bytes of the blobs, and reports the progress.
func (j *job) fetch(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var asking sync.WaitGroup
	if j.call.cache == nil {
		asking.Go(func() { j.warnOfDisagreements(watching) })
	}
	err := j.sampled(ctx, j.download.Run)
	stop()
	asking.Wait()
	if err == nil {
		j.reportProgress()
		return nil
	}
	if ctx.Err() == nil {
		err = j.blame(err)
	}
	return err
}

// blame adds to the error of a download the sources that sent wrong bytes.
func (j *job) blame(err error) error {
	_, mismatch := errors.AsType[*verify.MismatchError](err)
	_, hopeless := errors.AsType[*segment.HopelessError](err)
	names := j.call.mirrors.Corrupt()
	if len(names) == 0 || !mismatch && !hopeless {
		return err
	}
	return class.Mark(fmt.Errorf("wrong bytes came from %s: %w", strings.Join(names, ", "), err), ErrMismatch)
}

// tag is the tag of the image for the cache; zero if it was named by its digest.
func (j *job) tag() cache.Name {
	ref := j.image.Reference
	if ref.Digest != "" {
		return cache.Name{}
	}
	return cache.Name{
		Registry: ref.Registry, Repository: ref.Repository, Tag: ref.Tag,
		Digest: j.image.Digest, Checked: j.asked, Source: j.resolver,
	}
}

// warnOfDoubted warns of mirrors that sent wrong bytes in an earlier pull. That is
// no proof in this one: the pull uses them, but trusts them last.
func (j *job) warnOfDoubted(history sources.History) {
	for _, src := range j.set.Sources() {
		if corrupt := history[src.Name()].Corrupt; !corrupt.IsZero() {
			j.call.report.warnf("%s served wrong bytes on %s; segpull uses it until it does so again: consider removing it from the mirrors", src.Name(), corrupt.Format(time.DateOnly))
		}
	}
}

// warnOfUseless warns of mirrors that failed and never served a byte of the image, once in a call.
func (j *job) warnOfUseless() {
	for _, s := range j.download.Sources() {
		if s.Failure != nil && s.Bytes == 0 && !j.call.useless[s.Name] {
			j.call.useless[s.Name] = true
			j.call.report.warnf("%s served nothing: %s", s.Name, strings.TrimPrefix(s.Failure.Error(), s.Name+": "))
		}
	}
}

// warnOfDisagreements warns of mirrors that resolve the tag to another image.
func (j *job) warnOfDisagreements(ctx context.Context) {
	ref := j.image.Reference
	if ref.Digest != "" {
		return
	}
	j.set.Disagreements(ctx, ref, j.image.Digest, func(d sources.Disagreement) {
		j.call.report.warnf("mirrors disagree about %s: %s resolves it to %.19s…, %s to %.19s…; segpull uses the first: to use the other, name its mirror first or give its digest",
			j.name(), j.resolver, j.image.Digest, d.Source, d.Digest)
	})
}

// checkPlatform warns if the config gives another platform than the index, or than
// resolve assumed.
func (j *job) checkPlatform() error {
	if j.image.IsIndex() {
		return nil
	}
	config, err := archive.ReadConfig(j.image, j)
	if err != nil {
		return err
	}
	resolved := j.image.Platform
	p, ok := image.ConfigPlatform(config)
	if ok && (p.OS != resolved.OS || p.Architecture != resolved.Architecture) {
		j.image.Platform = p
		j.warnOfPlatform(resolved)
	}
	return nil
}

// Blob implements archive.Blobs.
func (j *job) Blob(d digest.Digest) (*io.SectionReader, error) {
	for i, b := range j.blobs {
		if b.Digest == d {
			return j.content.Section(i), nil
		}
	}
	return nil, fmt.Errorf("blob %s is not part of the image", d)
}

// close closes the files of the blobs.
func (j *job) close() {
	if j.content != nil {
		j.content.Close()
	}
}
