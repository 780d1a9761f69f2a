package segpull

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/segpull/segpull/archive"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// syncInterval is how much work a loss of power may cost. It also has the
// disk write while the network is read, so that little is left for the end.
const syncInterval = time.Second

// job is the pull of one image.
type job struct {
	*puller
	image    image.Image
	set      *sources.Set
	out      output
	resolver string

	blobs     []ocispec.Descriptor
	peers     []*peer
	layout    *archive.Layout // nil where blobs don't lie as in the output
	standing  *os.File        // the archive, where it was there and right; then there is no store
	store     *state.Store
	fetch     *segment.Fetch
	frontiers []verify.Frontier // of each blob
	right     []atomic.Bool     // whether each blob is verified
	spread    sync.Once         // over several blobs at a time
	court     *court
	announced bool
	resumed   int64
	began     time.Time
}

func (j *job) name() string { return familiar(j.image.Reference) }

// familiar is a reference as the user would write it.
func familiar(ref image.Reference) string {
	if name := ref.Familiar(); name != "" {
		return name
	}
	return ref.String()
}

func (j *job) run(ctx context.Context) (Result, error) {
	j.began = time.Now()
	j.blobs = smallestFirst(j.image.Blobs())
	j.frontiers = make([]verify.Frontier, len(j.blobs))
	j.right = make([]atomic.Bool, len(j.blobs))
	placements, err := j.placements()
	if err != nil {
		return Result{}, err
	}
	if stands, err := j.stands(ctx); err != nil {
		return Result{}, err
	} else if stands {
		return j.upToDate()
	}
	if err := j.open(ctx, placements); err != nil {
		return Result{}, err
	}
	j.announce()
	if err := j.transfer(ctx); err != nil {
		if failed := j.forgetLies(); failed != nil {
			err = fmt.Errorf("%w (and what liars sent is still there: %v)", err, failed)
		}
		return Result{}, err
	}
	j.tellUseless()
	if err := j.checkPlatform(); err != nil {
		return Result{}, err
	}
	if err := j.assemble(ctx); err != nil {
		return Result{}, fmt.Errorf("write %s: %w", j.out.path, err)
	}
	if err := j.store.Remove(); err != nil {
		j.tellFolder(err)
	}
	return j.result(), nil
}

// smallestFirst is the order in which blobs are fetched: a liar is known by the
// first one that is complete, and so has served little.
func smallestFirst(blobs []ocispec.Descriptor) []ocispec.Descriptor {
	slices.SortStableFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Size, b.Size) })
	return blobs
}

// open opens the part folder, takes over what images before this one have,
// and says what is missing.
func (j *job) open(ctx context.Context, placements []state.Placement) (err error) {
	var names []string
	atMost := affordable(len(j.set.Sources()))
	for _, src := range j.set.Sources() {
		j.peers = append(j.peers, newPeer(src, j.image.Reference.Repository, j.blobs, j.opts.Connections, atMost, j.limits))
		names = append(names, src.Name())
	}
	names = append(names, sharedSource)
	if j.store, err = state.Open(ctx, j.out.work, placements, names); err != nil {
		return j.out.explain(err)
	}
	memory := sources.Recall(j.opts.Memory)
	j.fetch = segment.NewFetch(j.fetchOptions(memory))
	j.store.Damaged = j.fetch.Want
	if err := j.checkRoom(); err != nil {
		return err
	}
	j.court = newCourt(j.doubts(memory))
	j.ban() // who was caught with an earlier image
	for i := range j.blobs {
		if err := j.adopt(ctx, i); err != nil {
			return err
		}
		b := j.store.Blob(i)
		j.resumed += b.Done()
		if err := j.unpack(ctx, i); err != nil {
			return err
		}
		for _, r := range b.Missing() {
			j.fetch.Want(i, r)
		}
	}
	return nil
}

// placements says where each blob lies in the part file: where the archive
// will have it, if the format keeps blobs as they are; else one by one.
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
	return j.out.path != stdout && (j.out.format == archive.DockerArchive || j.out.format == archive.OCIArchive)
}

// sharedSource is who served the bytes that an earlier image had.
const sharedSource = "(another image)"

// adopt copies blob i from an image that this call has pulled before, or from
// the layout that the image is to be added to.
func (j *job) adopt(ctx context.Context, i int) error {
	b := j.store.Blob(i)
	if b.Done() == b.Size() {
		return nil
	}
	for _, other := range j.jobs {
		k := slices.IndexFunc(other.blobs, func(d ocispec.Descriptor) bool { return d.Digest == j.blobs[i].Digest })
		if k >= 0 {
			return fill(ctx, b, other.section(k), len(j.peers))
		}
	}
	if j.out.format != archive.OCI {
		return nil
	}
	f, err := archive.OpenBlob(ctx, j.out.work, j.blobs[i])
	if err != nil {
		return nil // it is to be fetched
	}
	defer f.Close()
	return fill(ctx, b, io.NewSectionReader(f, 0, b.Size()), len(j.peers))
}

// unpack takes blob i from its descriptor, if that holds it: the manifest came
// with it, or it was read when the image was resolved.
func (j *job) unpack(ctx context.Context, i int) error {
	b := j.store.Blob(i)
	data, ok := image.Inline(j.blobs[i])
	if !ok || b.Done() == b.Size() {
		return nil
	}
	return fill(ctx, b, io.NewSectionReader(bytes.NewReader(data), 0, b.Size()), len(j.peers))
}

// fill writes all of a blob.
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

func (j *job) fetchOptions(memory sources.Memory) segment.Options {
	opts := segment.Options{
		Sink:        j,
		SegmentSize: j.opts.SegmentSize,
		Limiter:     j.limits.all,
		GiveUpAfter: j.opts.GiveUpAfter,
		Trouble:     func(source int, err error) { j.trouble(j.peers[source], err) },
		Stalled:     func(silent time.Duration, reasons []error) { j.stalled(j.image.Reference, silent, reasons) },
	}
	for _, b := range j.blobs {
		opts.Blobs = append(opts.Blobs, b.Size)
	}
	for _, p := range j.peers {
		terms := p.terms(p)
		terms.Hint = hint(memory[p.Name()])
		opts.Peers = append(opts.Peers, terms)
	}
	return opts
}

func (j *job) trouble(p *peer, err error) {
	e := Trouble{Source: p.Name(), Message: strings.TrimPrefix(err.Error(), p.Name()+": ")}
	p.failure.Store(&e)
	j.notify(e)
}

// tellUseless warns of sources that failed and never served a byte.
func (j *job) tellUseless() {
	for _, p := range j.peers {
		if e := p.failure.Load(); e != nil && p.served.Load() == 0 {
			j.notify(Warning{Message: fmt.Sprintf("%s served nothing: %s", e.Source, e.Message)})
		}
	}
}

// tellDissents warns of mirrors by whose word the tag means another image.
func (j *job) tellDissents(ctx context.Context) {
	ref := j.image.Reference
	if ref.Digest != "" {
		return
	}
	j.set.Dissents(ctx, ref, j.image.Digest, func(d sources.Dissent) {
		j.notify(Warning{Message: fmt.Sprintf("mirrors disagree about %s: %s says %.19s…, %s says %.19s…; the first counts: name another first, or the digest, to have another",
			j.name(), j.resolver, j.image.Digest, d.Source, d.Digest)})
	})
}

// transfer fetches and verifies all blobs.
func (j *job) transfer(parent context.Context) error {
	defer j.court.close()
	group, ctx := errgroup.WithContext(parent)
	for i := range j.blobs {
		group.Go(func() error { return j.verify(ctx, i) })
	}
	fetching, fetched := context.WithCancel(ctx)
	group.Go(func() error {
		defer fetched()
		return j.fetch.Run(ctx)
	})
	group.Go(func() error { return every(fetching, syncInterval, j.store.Sync) })
	group.Go(func() error { j.tellDissents(fetching); return nil })
	group.Go(func() error { j.testSources(fetching); return nil })
	group.Go(func() error { j.sample(fetching); return nil })
	err := group.Wait()
	j.remember()
	if parent.Err() != nil {
		return context.Cause(parent)
	}
	if mismatched(err) || hopeless(err) {
		return j.blamed(err)
	}
	if err == nil {
		j.notify(j.progress())
	}
	return err
}

// every calls fn until ctx ends, or fn fails.
func every(ctx context.Context, interval time.Duration, fn func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := fn(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// verify hashes blob i as it arrives, until it is right.
func (j *job) verify(ctx context.Context, i int) error {
	h := j.hearing(i)
	defer h.rest()
	for {
		err := h.hash(ctx)
		if mismatched(err) {
			err = h.heal(ctx, err)
			h.rest()
			if err == nil {
				continue
			}
		}
		if err == nil {
			j.right[i].Store(true)
			j.offerTouchstone(i)
			j.fetch.Settle()
		}
		return err
	}
}
