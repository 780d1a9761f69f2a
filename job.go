package segpull

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/transfer"
	"github.com/segpull/segpull/verify"
)

// job is the pull of one image.
type job struct {
	call     *call
	index    int    // among the references of the call
	written  string // the reference, as the caller wrote it
	image    image.Image
	set      *sources.Set
	out      output
	resolver string    // name of the source that resolved the tag
	asked    time.Time // when the tag was asked for

	blobs     []ocispec.Descriptor
	layout    *archive.Layout   // nil if the blobs have other offsets in the output than in the part file
	existing  *os.File          // the archive, if it existed and was right; then store is nil
	compared  []verify.Frontier // how far each blob of the existing archive was hashed
	store     *state.Store
	cached    *cached // the blobs, if the call has a cache; then store has only the output
	transfer  *transfer.Transfer
	announced bool
	resumed   atomic.Int64
	missing   int64    // bytes that were not on disk when the transfer began
	push      *pushing // of the image; nil: it is not pushed
	delivered []Delivery
	began     time.Time
}

// name returns the reference as the user would write it, or as the caller wrote it if it is invalid.
func (j *job) name() string {
	if j.image.Reference == (image.Reference{}) {
		return image.WithoutUser(j.written)
	}
	return familiar(j.image.Reference)
}

// familiar returns a reference as the user would write it.
func familiar(ref image.Reference) string {
	if name := ref.Familiar(); name != "" {
		return name
	}
	return ref.String()
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
	if err := j.assemble(ctx); err != nil {
		return Result{}, fmt.Errorf("write %s: %w", j.out.path, err)
	}
	if err := j.deliver(ctx); err != nil {
		return Result{}, err
	}
	if err := errors.Join(os.RemoveAll(j.blobsDir()), j.store.Remove()); err != nil {
		j.warnOfDir(err)
	}
	if j.cached != nil && !j.cached.own() {
		if err := j.cached.keep(ctx); err != nil {
			j.call.warn(fmt.Sprintf("%s is complete, but segpull could not update the cache: %v", j.name(), err))
		}
	}
	return j.result(), nil
}

// plan lists the blobs, and returns where each goes.
func (j *job) plan() ([]state.Placement, error) {
	j.blobs = smallestFirst(j.needed())
	j.compared = make([]verify.Frontier, len(j.blobs))
	return j.placements()
}

// smallestFirst sorts blobs in the order in which to fetch them: the first complete blob
// shows a corrupt source, so a small one shows it early.
func smallestFirst(blobs []ocispec.Descriptor) []ocispec.Descriptor {
	slices.SortStableFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Size, b.Size) })
	return blobs
}

// open opens the part directory, and prepares the transfer. It finds the blobs that the
// cache has, or copies those that earlier images have.
func (j *job) open(ctx context.Context, placements []state.Placement) (err error) {
	names := j.sourceNames()
	if j.cache() != nil {
		err = j.openCached(ctx, names, placements)
	} else if j.store, err = state.Open(ctx, j.out.work, placements, names); err != nil {
		err = j.out.explain(err)
	}
	if err != nil {
		return err
	}
	history := sources.LoadHistory(j.call.opts.History)
	j.transfer = transfer.New(j.transferOptions(history))
	if err := j.checkSpace(); err != nil {
		return err
	}
	j.warnOfDoubted(history)
	if j.cached != nil {
		return nil
	}
	for i := range j.blobs {
		b := j.store.Blob(i)
		if err := j.adopt(ctx, i, b); err != nil {
			return err
		}
		j.resumed.Add(b.Done())
		if err := j.unpack(ctx, i, b); err != nil {
			return err
		}
		j.missing += b.Size() - b.Done()
	}
	return nil
}

// sourceNames returns the names of the sources for state.Open.
func (j *job) sourceNames() (names []string) {
	for _, src := range j.set.Sources() {
		names = append(names, src.Name())
	}
	if j.call.bucket != nil {
		names = append(names, j.call.bucket.Name())
	}
	return append(names, sharedSource)
}

// sharedIndex is the index of sharedSource among sourceNames.
func (j *job) sharedIndex() int { return len(j.sourceNames()) - 1 }

func (j *job) transferOptions(history sources.History) transfer.Options {
	opts := j.call.transferOptions(j.set, j.image.Reference, history)
	opts.Store, opts.Resolver = j.store, j.resolver
	if opts.KeepOpen = j.cached != nil; !opts.KeepOpen {
		opts.Blobs = j.blobs // otherwise each is added with a store of its own
	}
	return opts
}

// transferOptions returns what all transfers of blobs of a reference's repository have.
func (c *call) transferOptions(set *sources.Set, ref image.Reference, history sources.History) transfer.Options {
	limiters := make(map[string]*segment.Limiter)
	for _, src := range set.Sources() {
		limiters[src.Name()] = c.limits.mirror(src.Name(), src.LimitRate())
	}
	opts := transfer.Options{
		Repository:  ref.Repository,
		Sources:     set.Sources(),
		History:     history,
		Limiter:     c.limits.all,
		Limiters:    limiters,
		Connections: c.opts.Connections,
		SegmentSize: c.opts.SegmentSize,
		GiveUpAfter: c.opts.GiveUpAfter,
		NoRace:      c.opts.NoRace,
		Corrupt:     &c.corrupt,
		Report: transfer.Report{
			Search:  verify.Report{Corrupt: c.found, Suspect: c.suspect, Warn: c.warn},
			Trouble: c.trouble,
			Request: c.request,
			Stalled: func(silent time.Duration, reasons []error) { c.stalled(ref, silent, reasons) },
		},
	}
	if c.bucket != nil {
		opts.Shared = c.bucket
	}
	return opts
}

// placements returns the offset of each blob in the part file: its offset in the
// archive, if the format has the blobs unchanged; otherwise one after the other.
func (j *job) placements() (places []state.Placement, err error) {
	if j.inPlace() {
		if j.layout, err = archive.Plan(j.image, j.out.format); err != nil {
			return nil, err
		}
	}
	next := int64(0)
	for _, b := range j.blobs {
		offset := next
		if j.layout != nil {
			offset = j.layout.Offset(b.Digest)
		}
		places = append(places, state.Placement{Digest: string(b.Digest), Size: b.Size, Offset: offset})
		next = offset + b.Size
	}
	return places, nil
}

func (j *job) inPlace() bool {
	return j.out.onDisk() && (j.out.format == archive.DockerArchive || j.out.format == archive.OCIArchive)
}

// sharedSource is the name of the source of bytes from an earlier image.
const sharedSource = "(another image)"

// adopt copies blob i to b from an earlier image of this call, or from the layout that is
// the output.
func (j *job) adopt(ctx context.Context, i int, b *state.Blob) error {
	if b.Done() == b.Size() {
		return nil
	}
	for _, other := range j.call.done {
		k := slices.IndexFunc(other.blobs, func(d ocispec.Descriptor) bool { return d.Digest == j.blobs[i].Digest })
		if k >= 0 {
			return fill(ctx, b, other.section(k), j.sharedIndex())
		}
	}
	if j.out.format != archive.OCI || !j.out.onDisk() {
		return nil
	}
	f, err := archive.OpenBlob(ctx, j.out.work, j.blobs[i])
	if err != nil {
		return nil // the transfer fetches it
	}
	defer f.Close()
	return fill(ctx, b, io.NewSectionReader(f, 0, b.Size()), j.sharedIndex())
}

// unpack writes the content of blob i to b from its descriptor, if that has it: from the
// manifest, or because resolve has read it.
func (j *job) unpack(ctx context.Context, i int, b *state.Blob) error {
	data, ok := image.Inline(j.blobs[i])
	if !ok || b.Done() == b.Size() {
		return nil
	}
	return fill(ctx, b, io.NewSectionReader(bytes.NewReader(data), 0, b.Size()), j.sharedIndex())
}

// fill writes a whole blob.
func fill(ctx context.Context, b *state.Blob, from *io.SectionReader, source int) error {
	buf := make([]byte, state.MaxRecord)
	for off := int64(0); off < b.Size(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := from.ReadAt(buf[:min(int64(len(buf)), b.Size()-off)], off)
		if err != nil {
			return err
		}
		if err := b.Write(off, buf[:n], source); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// fetch fetches the missing bytes of the blobs, and reports the progress.
func (j *job) fetch(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var reports sync.WaitGroup
	reports.Go(func() { sample(watching, j.reportProgress) })
	var err error
	if j.cached == nil {
		reports.Go(func() { j.warnOfDisagreements(watching) })
		err = j.transfer.Run(ctx)
	} else {
		err = j.cached.run(ctx)
	}
	stop()
	reports.Wait()
	_ = j.transfer.History().Save(j.call.opts.History) // it only helps the next pull
	if err == nil {
		j.reportProgress()
		return nil
	}
	if ctx.Err() == nil {
		err = j.call.blame(err)
	}
	if failed := j.transfer.ForgetCorrupt(); failed != nil {
		err = fmt.Errorf("%w (segpull also could not discard what corrupt mirrors sent: %v)", err, failed)
	}
	return err
}

// warnOfDoubted warns of mirrors that sent wrong bytes in an earlier pull. That is
// no proof in this one: the pull uses them, but trusts them last.
func (j *job) warnOfDoubted(history sources.History) {
	for _, src := range j.set.Sources() {
		if corrupt := history[src.Name()].Corrupt; !corrupt.IsZero() {
			j.call.warn(fmt.Sprintf("%s served wrong bytes on %s; segpull uses it until it does so again: consider removing it from the mirrors", src.Name(), corrupt.Format(time.DateOnly)))
		}
	}
}

// warnOfUseless warns of mirrors that failed and never served a byte.
func (j *job) warnOfUseless() {
	for _, s := range j.transfer.Sources() {
		if s.Failure != nil && s.Bytes == 0 {
			j.call.warn(fmt.Sprintf("%s served nothing: %s", s.Name, strings.TrimPrefix(s.Failure.Error(), s.Name+": ")))
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
		j.call.warn(fmt.Sprintf("mirrors disagree about %s: %s resolves it to %.19s…, %s to %.19s…; segpull uses the first: to use the other, name its mirror first or give its digest",
			j.name(), j.resolver, j.image.Digest, d.Source, d.Digest))
	})
}
