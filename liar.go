package segpull

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/verify"
)

// A digest covers a whole blob, so a mismatch does not say who sent the wrong
// bytes. heal finds out. It convicts on proof alone, so that a source that
// tells the truth is never given up:
//
//   - it sends other bytes of a blob that is known to be right;
//   - it sends two different things for the same bytes;
//   - a blob is right once its bytes are replaced by another source's;
//   - a blob is wrong as it alone has it.
//
// The last two come out of trials (trial.go), each of which convicts somebody.
// So where each blob has a source that tells the truth, the pull ends right.

// maxTouchstone is the most bytes of a blob that sources are tested with.
const maxTouchstone = 64 << 10

// liars are the names of the sources that were convicted in a call of Pull. It
// is safe for concurrent use.
type liars struct {
	mu    sync.Mutex
	names []string
}

func (l *liars) has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.names, name)
}

// add returns false where the name is there already.
func (l *liars) add(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.names, name) {
		return false
	}
	l.names = append(l.names, name)
	return true
}

func (l *liars) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.names)
}

// convict has a source used no more. Its bytes of blobs that are not verified
// stay until they turn out wrong.
func (j *job) convict(name string, proof string, args ...any) {
	if !j.liars.add(name) {
		return
	}
	for k, p := range j.peers {
		if p.Name() == name {
			j.fetch.Ban(k)
		}
	}
	e := Liar{Source: name, Proof: fmt.Sprintf(proof, args...)}
	j.notify(e)
	j.notify(Warning{Message: fmt.Sprintf("%s serves wrong bytes and is used no more: %s; leave it out, or tell whoever runs it", name, e.Proof)})
}

// peerNamed is -1 for a source of an earlier run that is not used in this one.
func (j *job) peerNamed(name string) int {
	return slices.IndexFunc(j.peers, func(p *peer) bool { return p.Name() == name })
}

// heal is called when blob i is complete and its digest is wrong. It returns
// nil when something was found out, and bytes were replaced or are wanted anew.
func (j *job) heal(ctx context.Context, i int, mismatch error) error {
	if err := j.court.enter(ctx, j.blobs[i].Size); err != nil {
		return err
	}
	defer j.court.leave()
	if dropped, err := j.dropLies(i); dropped || err != nil {
		return err
	}
	if err := j.testWithTouchstone(ctx, i); err != nil {
		return err
	}
	if dropped, err := j.dropLies(i); dropped || err != nil {
		return err
	}
	for _, p := range j.witnesses(i) {
		err := j.try(ctx, i, p)
		switch gaveUp, ok := errors.AsType[*segment.GiveUpError](err); {
		case ok:
			mismatch = fmt.Errorf("the digest of %s is wrong, and who lied can't be found out: %w", j.blobs[i].Digest, gaveUp)
			continue
		case hopeless(err):
			continue // it does not have the blob, or not for us
		case err != nil:
			return err
		}
		_, err = j.dropLies(i)
		return err
	}
	return mismatch
}

func mismatched(err error) bool {
	_, ok := errors.AsType[*verify.MismatchError](err)
	return ok
}

func hopeless(err error) bool {
	_, ok := errors.AsType[*segment.HopelessError](err)
	return ok
}

// forgetLies gives up all that convicted sources sent of blobs that are not
// known to be right: the pull has failed, and nothing wrong is kept.
func (j *job) forgetLies() error {
	var errs []error
	for i := range j.blobs {
		if !j.right[i].Load() {
			_, err := j.dropLies(i)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dropLies gives up what convicted sources sent of blob i.
func (j *job) dropLies(i int) (dropped bool, err error) {
	for _, run := range j.store.Blob(i).Runs() {
		if !j.liars.has(run.Source) {
			continue
		}
		if err := j.refetch(i, run.Range); err != nil {
			return dropped, err
		}
		dropped = true
	}
	return dropped, nil
}

func (j *job) refetch(i int, r segment.Range) error {
	if err := j.store.Blob(i).Forget(r); err != nil {
		return err
	}
	j.fetch.Want(i, r)
	return nil
}

// testWithTouchstone asks those who served blob i for a small blob that is
// known to be right: who always lies is found at the price of a few KiB.
func (j *job) testWithTouchstone(ctx context.Context, i int) error {
	stone := j.touchstone()
	if stone < 0 || len(j.peers) == 1 {
		return nil
	}
	truth, err := io.ReadAll(j.store.Blob(stone).Section())
	if err != nil {
		return err
	}
	for _, p := range j.witnesses(i) {
		if p.tested || j.bytesBy(i, p) == 0 {
			continue
		}
		p.tested = true
		said, err := j.recall(ctx, p, stone, segment.Range{End: int64(len(truth))})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && !bytes.Equal(said, truth):
			j.convict(p.Name(), "it sent other bytes for %s, which is known", j.blobs[stone].Digest)
		}
	}
	return nil
}

// touchstone is the smallest blob that is known to be right, or -1.
func (j *job) touchstone() int {
	best := -1
	for i, d := range j.blobs {
		if j.right[i].Load() && d.Size > 0 && d.Size <= maxTouchstone && (best < 0 || d.Size < j.blobs[best].Size) {
			best = i
		}
	}
	return best
}

// recall asks p for bytes of a blob; r should be short.
func (j *job) recall(ctx context.Context, p *peer, blob int, r segment.Range) ([]byte, error) {
	said := make([]byte, r.Len())
	err := j.ask(ctx, p, blob, []segment.Range{r}, func(off int64, b []byte) error {
		copy(said[off-r.Start:], b)
		return nil
	})
	return said, err
}

// witnesses are the sources whose word may be taken for blob i. Those that
// served most of it come first: to hear the rest of it from them costs least.
func (j *job) witnesses(i int) []*peer {
	all := slices.DeleteFunc(slices.Clone(j.peers), func(p *peer) bool { return j.liars.has(p.Name()) })
	slices.SortStableFunc(all, func(a, b *peer) int { return cmp.Compare(j.bytesBy(i, b), j.bytesBy(i, a)) })
	return all
}

// bytesBy is how much of blob i came from p.
func (j *job) bytesBy(i int, p *peer) (n int64) {
	for _, run := range j.store.Blob(i).Runs() {
		if run.Source == p.Name() {
			n += run.Len()
		}
	}
	return n
}

// Write takes bytes for the store, unless they are those of a liar.
func (j *job) Write(blob int, off int64, p []byte, source int) error {
	if j.liars.has(j.peers[source].Name()) {
		j.fetch.Want(blob, segment.Range{Start: off, End: off + int64(len(p))})
		return nil
	}
	if err := j.store.Write(blob, off, p, source); err != nil {
		return err
	}
	j.pace()
	return nil
}

// blamed is err with the names of those who are to blame for it.
func (j *job) blamed(err error) error {
	names := j.liars.all()
	if len(names) == 0 {
		return err
	}
	return &coded{fmt.Errorf("digest mismatch: wrong bytes came from %s, and %w", strings.Join(names, ", "), err), ExitMismatch}
}
