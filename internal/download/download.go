// Package download fetches the blobs of one image to disk: into the part file of its
// archive, or into a cache, from which the archive is written.
//
//	                         ┌─ the part file, or the cache
//	what is missing of a ────┼─ an earlier image of the same call, or the image layout that is the output
//	blob comes from          ├─ the descriptor, if that has the content
//	                         └─ a transfer: the bucket behind the cache, mirrors
//
// Guarantees:
//   - Section has verified bytes only: the transfer has hashed them, or the download has
//     hashed what the cache had.
//   - Whatever ends a download, the next one of the same image continues from what is on
//     disk.
//   - One process fetches a blob into a cache; others wait for it, and take it.
package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/bucket"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/internal/output"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/transfer"
)

// Options say which blobs to fetch, and where to.
type Options struct {
	Image      string               // as messages call it
	Blobs      []ocispec.Descriptor // in the order in which they are fetched; an index into them names a blob
	Place      *output.Place        // where the archive goes
	Placements []state.Placement    // of the blobs in the part file, by Place.Plan

	// Cache gets the blobs. nil: the part file.
	Cache *cache.Cache
	// Root is the digest of the image in Cache, which is not evicted to make room for it.
	Root digest.Digest
	// Files gives each blob a file of its own, also without a Cache: see [Download.Path].
	Files bool
	// Bucket is behind Cache; nil: none.
	Bucket *bucket.Store

	// Transfer has what a transfer of the image's repository has, without the blobs.
	Transfer transfer.Options
	// HistoryFile is where the transfer records what the sources were like. "": nowhere.
	HistoryFile string
	// Adopt returns a reader of a verified blob that is elsewhere on this machine, and a
	// function that closes the reader. The reader is nil if no such blob was found.
	Adopt func(ctx context.Context, b ocispec.Descriptor) (*io.SectionReader, func())
	// Warn gets a line for the user.
	Warn func(message string)
}

// Download is the blobs of one image on disk. Its methods are safe for concurrent use,
// except Run and Close, which are called once.
type Download struct {
	opts     Options
	names    []string     // of the sources, for the records of what they sent
	store    *state.Store // the part directory; with a cache, it has only the output
	cached   *cached      // the blobs, if they go to a cache
	transfer *transfer.Transfer
	resumed  atomic.Int64
	missing  int64 // bytes that were not on disk when the transfer began
}

// adopted is the name of the source of bytes that Options.Adopt returned.
const adopted = "(another image)"

// Open opens the part directory, and finds what is on disk of the blobs: there, in the
// cache, or where Options.Adopt finds it. It fails if the rest cannot fit on the disk. Close
// the Download.
func Open(ctx context.Context, opts Options) (*Download, error) {
	d := &Download{opts: opts, names: append(opts.Transfer.Names(), adopted)}
	if err := d.open(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Download) open(ctx context.Context) (err error) {
	opts := &d.opts
	if opts.Cache != nil || opts.Files {
		err = d.openCached(ctx)
	} else if d.store, err = state.Open(ctx, opts.Place.Work, opts.Placements, d.names); err != nil {
		err = opts.Place.Explain(err)
	}
	if err != nil {
		return err
	}
	d.transfer = transfer.New(d.transferOptions())
	if err := d.checkSpace(); err != nil || d.cached != nil {
		return err
	}
	for i, blob := range opts.Blobs {
		b := d.store.Blob(i)
		if err := d.adopt(ctx, blob, b); err != nil {
			return err
		}
		d.resumed.Add(b.Done())
		if err := d.unpack(ctx, blob, b); err != nil {
			return err
		}
		d.missing += b.Size() - b.Done()
	}
	return nil
}

func (d *Download) transferOptions() transfer.Options {
	opts := d.opts.Transfer
	opts.Store = d.store
	if opts.KeepOpen = d.cached != nil; !opts.KeepOpen {
		opts.Blobs = d.opts.Blobs // otherwise each is added with a store of its own
	}
	return opts
}

// adopt copies a blob to b from elsewhere on this machine.
func (d *Download) adopt(ctx context.Context, blob ocispec.Descriptor, b *state.Blob) error {
	if b.Done() == b.Size() {
		return nil
	}
	from, end := d.opts.Adopt(ctx, blob)
	if from == nil {
		return nil // the transfer fetches it
	}
	defer end()
	return d.fill(ctx, b, from)
}

// unpack writes the content of a blob to b from its descriptor, if that has it: from the
// manifest, or because the config was read for the platform.
func (d *Download) unpack(ctx context.Context, blob ocispec.Descriptor, b *state.Blob) error {
	data, ok := image.Inline(blob)
	if !ok || b.Done() == b.Size() {
		return nil
	}
	return d.fill(ctx, b, io.NewSectionReader(bytes.NewReader(data), 0, b.Size()))
}

// fill writes a whole blob.
func (d *Download) fill(ctx context.Context, b *state.Blob, from *io.SectionReader) error {
	buf := make([]byte, state.MaxRecord)
	for off := int64(0); off < b.Size(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := from.ReadAt(buf[:min(int64(len(buf)), b.Size()-off)], off)
		if err != nil {
			return err
		}
		if err := b.Write(off, buf[:n], len(d.names)-1); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// Run fetches what is missing, and returns when all blobs are verified. The error is that
// of [transfer.Transfer.Run], of the disk or of the cache.
func (d *Download) Run(ctx context.Context) (err error) {
	if d.cached == nil {
		err = d.transfer.Run(ctx)
	} else {
		err = d.cached.run(ctx)
	}
	_ = d.transfer.History().Save(d.opts.HistoryFile) // it only helps the next transfer
	if err == nil {
		return nil
	}
	if failed := d.transfer.ForgetCorrupt(); failed != nil {
		err = fmt.Errorf("%w (segpull also could not discard what corrupt mirrors sent: %v)", err, failed)
	}
	return err
}

// Wait waits, while Run runs, until blob i is verified. The error says little: that of Run
// says why a blob could not be fetched.
func (d *Download) Wait(ctx context.Context, i int) error {
	if d.cached == nil {
		return d.transfer.Wait(ctx, i)
	}
	select {
	case <-d.cached.ready[i]:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Section returns a reader of blob i, which is verified.
func (d *Download) Section(i int) *io.SectionReader {
	if d.cached != nil {
		return d.cached.section(i)
	}
	return d.store.Blob(i).Section()
}

// Done returns how many bytes of blob i are on disk, and how many of them SHA-256 has seen.
func (d *Download) Done(i int) (done, hashed int64) {
	if d.cached != nil {
		return d.cached.done(i)
	}
	return d.store.Blob(i).Done(), d.transfer.Hashed(i)
}

// Resumed returns how many bytes this download does not fetch, because they were on disk, or
// because another process has fetched them into the cache.
func (d *Download) Resumed() int64 { return d.resumed.Load() }

// Missing returns how many bytes were not on disk when their transfer began. It is called
// after Run.
func (d *Download) Missing() int64 { return d.missing }

// Sources returns the state of each source.
func (d *Download) Sources() []transfer.SourceStatus { return d.transfer.Sources() }

// Store returns the part directory, to write the archive with [output.Place.Write].
func (d *Download) Store() *state.Store { return d.store }

// Path returns the file of a verified blob; it is "" unless the blobs have files of their
// own.
func (d *Download) Path(blob digest.Digest) string {
	if d.cached == nil {
		return ""
	}
	return d.cached.cache.Path(blob)
}

// size returns the number of bytes of all blobs.
func (d *Download) size() (n int64) {
	for _, b := range d.opts.Blobs {
		n += b.Size
	}
	return n
}

// Remove removes the part directory. It is called when the output is complete.
func (d *Download) Remove() error {
	return errors.Join(os.RemoveAll(ownBlobs(d.opts.Place)), d.store.Remove())
}

// Close closes the files.
func (d *Download) Close() {
	if d.cached != nil {
		d.cached.close()
	}
	if d.store != nil {
		d.store.Close()
	}
}

// ownName is the name of an image's own cache in the part directory, whose lock is its lock,
// too.
const ownName = "blobs"

func ownBlobs(p *output.Place) string { return filepath.Join(state.Dir(p.Work), ownName) }

// Tidy removes the part directory of an image whose archive was complete before, if nothing
// but its blobs is there.
func Tidy(place *output.Place, blobs []ocispec.Descriptor) error {
	var digests []string
	for _, b := range blobs {
		digests = append(digests, string(b.Digest))
	}
	return state.Tidy(place.Work, digests, ownName)
}
