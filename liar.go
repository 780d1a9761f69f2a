package segpull

import (
	"context"
	"errors"
	"fmt"
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
// Where to look first, hints tell: where the layer breaks off (mend.go), and
// what sources have done before. Where they tell nothing, one source after the
// other is believed (trial.go). If all have lied, everything that anybody says
// is combined (combine.go). So where each byte has a source that tells the
// truth, the pull ends right.

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

// convict has a source used no more, if there is another that was not
// convicted. Its bytes of blobs that are not verified stay until they turn out
// wrong.
func (j *job) convict(name string, proof string, args ...any) {
	if !j.liars.add(name) {
		return
	}
	j.ban()
	use := "is used no more"
	if !j.shunned(name) {
		use = "is used on only because all others do so too"
	}
	e := Liar{Source: name, Proof: fmt.Sprintf(proof, args...)}
	j.notify(e)
	j.notify(Warning{Message: fmt.Sprintf("%s serves wrong bytes and %s: %s; leave it out, or tell whoever runs it", name, use, e.Proof)})
}

// outcast says whether a source is used no more for blob i: it was convicted,
// and there is another that was not.
func (j *job) outcast(name string, i int) bool {
	return j.liars.has(name) && j.anyOther(name, func(k int) bool { return !j.liars.has(j.peers[k].Name()) && !j.fetch.Lacks(k, i) })
}

// anyOther says whether fn is true of any peer but one.
func (j *job) anyOther(name string, fn func(k int) bool) bool {
	for k, p := range j.peers {
		if p.Name() != name && fn(k) {
			return true
		}
	}
	return false
}

// ban has those who were convicted asked for nothing more, unless all were.
func (j *job) ban() {
	for k, p := range j.peers {
		if j.shunned(p.Name()) {
			j.fetch.Ban(k)
		}
	}
}

// shunned says whether a source was convicted, and not everybody was.
func (j *job) shunned(name string) bool {
	return j.liars.has(name) && j.anyOther(name, func(k int) bool { return !j.liars.has(j.peers[k].Name()) })
}

// peerNamed is -1 for a source of an earlier run that is not used in this one.
func (j *job) peerNamed(name string) int {
	return slices.IndexFunc(j.peers, func(p *peer) bool { return p.Name() == name })
}

// heal is called when the blob is complete and its digest is wrong. It returns
// nil when something was found out, and bytes were replaced or are wanted anew.
func (h *hearing) heal(ctx context.Context, mismatch error) error {
	if err := h.court.enter(ctx, h.blob.Size()); err != nil {
		return err
	}
	defer h.court.leave()
	h.focus()
	for _, h.patient = range []bool{false, true} {
		h.begin()
		if done, err := h.findOut(ctx); done || err != nil {
			return err
		}
		if h.silence() == nil {
			return h.andOthers(mismatch)
		}
	}
	return fmt.Errorf("the digest of %s is wrong, and who lied can't be found out: %w", h.digest(), h.silence())
}

// andOthers adds to a mismatch why those were of no help who do not have the blob.
func (h *hearing) andOthers(mismatch error) error {
	for _, w := range h.words {
		if lacks, ok := errors.AsType[*segment.HopelessError](w.silent); ok {
			mismatch = fmt.Errorf("%w (and %v)", mismatch, lacks)
		}
	}
	return mismatch
}

// findOut takes the steps in the order of what they cost.
func (h *hearing) findOut(ctx context.Context) (done bool, err error) {
	mend := func(ctx context.Context) (bool, error) { return h.mend(ctx, h.witnesses()) }
	for _, step := range []func(context.Context) (bool, error){h.replaceAside, mend, h.dropLies, h.believe, h.combine} {
		if done, err := step(ctx); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// believe holds a trial of one witness after the other, until somebody is
// convicted or bytes are wanted anew. If the last was convicted, there is no
// more to be had by that.
func (h *hearing) believe(ctx context.Context) (done bool, err error) {
	for _, w := range h.witnesses() {
		right, err := h.try(ctx, w)
		if unavailable(err) {
			continue
		}
		if right || err != nil {
			return right, err
		}
		if len(h.witnesses()) > 0 {
			_, err = h.dropLies(ctx)
			return true, err
		}
	}
	return false, nil
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
		if j.right[i].Load() {
			continue
		}
		b := j.store.Blob(i)
		for _, run := range b.Runs() {
			if j.liars.has(run.Source) {
				errs = append(errs, b.Forget(run.Range))
			}
		}
	}
	return errors.Join(errs...)
}

// dropLies has what outcasts sent fetched from others. It is kept aside: some
// of it may be right.
func (h *hearing) dropLies(ctx context.Context) (dropped bool, err error) {
	for _, run := range h.blob.Runs() {
		if !h.outcast(run.Source, h.index) {
			continue
		}
		if err := h.keep(ctx, run); err != nil {
			return dropped, err
		}
		if err := h.refetch(h.index, run.Range); err != nil {
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

// Write takes bytes for the store, unless they are those of a liar.
func (j *job) Write(blob int, off int64, p []byte, source int) error {
	if j.outcast(j.peers[source].Name(), blob) {
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
