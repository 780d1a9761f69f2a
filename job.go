package segpull

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
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
	store     *state.Store
	fetch     *segment.Fetch
	frontiers []verify.Frontier // of each blob
	right     []atomic.Bool     // whether each blob is verified
	court     queue             // of blobs that turned out wrong
	resumed   int64
	began     time.Time
}

func (j *job) name() string {
	if name := j.image.Reference.Familiar(); name != "" {
		return name
	}
	return j.image.Reference.String()
}

func (j *job) run(ctx context.Context) (Result, error) {
	j.began = time.Now()
	j.blobs = j.image.Blobs()
	if err := j.open(); err != nil {
		return Result{}, err
	}
	j.finished = append(j.finished, j) // from here on its blobs can serve other images
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
		j.notify(Warning{Message: fmt.Sprintf("%v: the image is complete, remove the folder by hand", err)})
	}
	return j.result(), nil
}

// open opens the part folder, takes over what images before this one have,
// and says what is missing.
func (j *job) open() error {
	placements, err := j.placements()
	if err != nil {
		return err
	}
	var names []string
	for _, src := range j.set.Sources() {
		j.peers = append(j.peers, newPeer(src, j.image.Reference.Repository, j.blobs, j.opts.Connections, j.limits))
		names = append(names, src.Name())
	}
	names = append(names, sharedSource)
	if j.store, err = state.Open(j.out.work, placements, names); err != nil {
		return fmt.Errorf("open the part folder: %w", err)
	}
	j.frontiers = make([]verify.Frontier, len(j.blobs))
	j.right = make([]atomic.Bool, len(j.blobs))
	j.fetch = segment.NewFetch(j.fetchOptions())
	j.store.Damaged = j.fetch.Want
	for k, p := range j.peers {
		if j.liars.has(p.Name()) { // caught with an earlier image
			j.fetch.Ban(k)
		}
	}
	for i := range j.blobs {
		if err := j.adopt(i); err != nil {
			return err
		}
		b := j.store.Blob(i)
		j.resumed += b.Done()
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

// sharedSource is who served the bytes that an earlier image of the same
// call had.
const sharedSource = "(another image)"

// adopt copies blob i from an image that this call has pulled before.
func (j *job) adopt(i int) error {
	b := j.store.Blob(i)
	if b.Done() == b.Size() {
		return nil
	}
	for _, other := range j.finished {
		k := slices.IndexFunc(other.blobs, func(d ocispec.Descriptor) bool { return d.Digest == j.blobs[i].Digest })
		if k < 0 {
			continue
		}
		_, err := io.Copy(&blobWriter{b, 0, len(j.peers)}, other.store.Blob(k).Section())
		return err
	}
	return nil
}

// blobWriter writes a blob from its first byte on.
type blobWriter struct {
	blob   *state.Blob
	off    int64
	source int
}

func (w *blobWriter) Write(p []byte) (int, error) {
	err := w.blob.Write(w.off, p, w.source)
	w.off += int64(len(p))
	return len(p), err
}

func (j *job) fetchOptions() segment.Options {
	opts := segment.Options{
		Sink:        j,
		SegmentSize: j.opts.SegmentSize,
		Limiter:     j.limits.all,
		GiveUpAfter: j.opts.GiveUpAfter,
		Trouble:     func(source int, err error) { j.trouble(j.peers[source], err) },
	}
	for _, b := range j.blobs {
		opts.Blobs = append(opts.Blobs, b.Size)
	}
	hints := j.hints()
	for i, p := range j.peers {
		terms := p.terms(p)
		terms.Hint = hints[i]
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

// transfer fetches and verifies all blobs.
func (j *job) transfer(parent context.Context) error {
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
	group.Go(func() error {
		return every(fetching, progressInterval, func() error { j.notify(j.progress()); return nil })
	})
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
	d := j.blobs[i]
	b := j.store.Blob(i)
	for {
		err := j.frontiers[i].Blob(ctx, b, string(d.Digest), d.Size)
		if mismatched(err) {
			err = j.heal(ctx, i, err)
			if err == nil {
				continue
			}
		}
		if err == nil {
			j.right[i].Store(true)
			j.fetch.Settle()
		}
		return err
	}
}

// assemble puts the output in its place. All blobs are verified.
func (j *job) assemble(ctx context.Context) error {
	switch {
	case j.layout != nil:
		if err := j.checkConfig(); err != nil {
			return err
		}
		if err := j.layout.Finish(j.store.Part()); err != nil {
			return err
		}
		return j.store.PromotePart(j.out.path, j.layout.Size())
	case j.out.path == stdout:
		return archive.Write(ctx, j.opts.Stdout, j.image, j.out.format, j)
	case j.out.format == archive.OCI:
		return archive.WriteDir(ctx, j.out.path, j.image, j)
	}
	f, err := j.store.Create()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := archive.Write(ctx, f, j.image, j.out.format, j); err != nil {
		return err
	}
	return j.store.Promote(f, j.out.path)
}

// checkConfig has the archive see to it that docker load will take the image.
func (j *job) checkConfig() error {
	if j.out.format != archive.DockerArchive {
		return nil
	}
	config, err := j.config()
	if err != nil {
		return err
	}
	return archive.CheckConfig(j.image, config)
}

// checkPlatform warns of an image that says that it is for another platform. A
// reference without an index leads to it.
func (j *job) checkPlatform() error {
	config, err := j.config()
	if err != nil {
		return err
	}
	var says ocispec.Platform
	if json.Unmarshal(config, &says) != nil || says.OS == "" || says.Architecture == "" {
		return nil // not an image's config
	}
	if asked := j.image.Platform; says.OS != asked.OS || says.Architecture != asked.Architecture {
		j.image.Platform = image.Platform{OS: says.OS, Architecture: says.Architecture, Variant: says.Variant}
		j.notify(Warning{Message: fmt.Sprintf("%s is for %s, not %s: there is no other image under this reference", j.name(), j.image.Platform, asked)})
	}
	return nil
}

// config reads the image's config, whose size image.Resolve has bounded.
func (j *job) config() ([]byte, error) {
	section, err := j.Blob(j.image.Config.Digest)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(section)
}

// Blob hands a verified blob to the archive.
func (j *job) Blob(d digest.Digest) (*io.SectionReader, error) {
	for i, b := range j.blobs {
		if b.Digest == d {
			return j.store.Blob(i).Section(), nil
		}
	}
	return nil, fmt.Errorf("blob %s is not part of the image", d)
}
