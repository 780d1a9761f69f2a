package segpull

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

const (
	// A witness is heard in steps that double, so that a contradiction is
	// found before all of the blob was fetched again.
	firstStep = 256 << 10
	lastStep  = 4 << 20

	// confrontation is how many bytes two sources that contradict each other
	// are asked for again, and confrontations how often.
	confrontation  = 16 << 10
	confrontations = 3

	// window is how much is compared at once.
	window = 64 << 10
)

// trial takes the word of one source, the witness, for a whole blob: what
// others served of it is fetched from the witness too, into a scratch file, and
// the blob is hashed as the witness has it. If it is right, those whose bytes
// differ lied; if it is wrong, the witness did. What is on disk stays as it is
// until then.
type trial struct {
	*job
	index   int
	blob    *state.Blob
	witness *peer
	scratch *os.File    // the witness's bytes, at their offsets in the blob
	heard   segment.Set // which of them are there
	differs bool        // whether others have served anything else
	hashed  int64       // bytes that were heard when the blob was last hashed

	met map[string]int // confrontations with each source
}

// try holds a trial over blob i. Afterwards its bytes are right, or are wanted
// anew, or somebody was convicted. If the witness does not answer, the error is
// a *segment.GiveUpError or a *segment.HopelessError.
func (j *job) try(ctx context.Context, i int, witness *peer) error {
	scratch, err := j.store.Create()
	if err != nil {
		return err
	}
	defer scratch.Close()
	defer scratch.Truncate(0) // the file itself goes with the folder
	t := &trial{job: j, index: i, blob: j.store.Blob(i), witness: witness, scratch: scratch, met: make(map[string]int)}
	for step := int64(firstStep); ; step = min(2*step, lastStep) {
		part := t.unheard(step)
		if len(part) == 0 {
			return t.judge(ctx)
		}
		if err := t.hear(ctx, part); err != nil {
			return err
		}
		liar, err := t.confront(ctx, part)
		if err != nil {
			return err
		}
		if liar {
			return t.takeOver()
		}
		if right, err := t.foresee(ctx); right || err != nil {
			return err
		}
	}
}

// unheard is bytes of the blob, at most so many, that are not the witness's
// and that it has not been asked for.
func (t *trial) unheard(most int64) []segment.Range {
	var found segment.Set
	for _, run := range t.blob.Runs() {
		if run.Source == t.witness.Name() {
			continue
		}
		for _, r := range t.heard.Without(run.Range) {
			r.End = min(r.End, r.Start+most-found.Len())
			found.Add(r)
		}
	}
	return found.Ranges()
}

// hear fetches ranges from the witness.
func (t *trial) hear(ctx context.Context, ranges []segment.Range) error {
	return t.ask(ctx, t.witness, t.index, ranges, func(off int64, b []byte) error {
		_, err := t.scratch.WriteAt(b, off)
		t.heard.Add(segment.Range{Start: off, End: off + int64(len(b))})
		return err
	})
}

// confront asks again both who served bytes and the witness, where they do not
// agree. Who does not say the same as before is convicted.
func (t *trial) confront(ctx context.Context, ranges []segment.Range) (liar bool, err error) {
	for _, r := range ranges {
		err := t.compare(ctx, r, func(source string, at int64, theirs, ours []byte) error {
			t.differs = true
			if liar || t.met[source] == confrontations {
				return nil
			}
			t.met[source]++
			first := firstDifference(theirs, ours)
			n := min(first+confrontation, len(ours))
			again := segment.Range{Start: at + int64(first), End: at + int64(n)}
			for name, said := range map[string][]byte{source: theirs[first:n], t.witness.Name(): ours[first:n]} {
				if t.contradicts(ctx, name, again, said) {
					t.convict(name, "it sent two different things for bytes %v of %s", again, t.blobs[t.index].Digest)
					liar = true
				}
			}
			return nil
		})
		if err != nil {
			return liar, err
		}
	}
	return liar, nil
}

// contradicts says whether a source sends something else than it said before.
func (t *trial) contradicts(ctx context.Context, name string, r segment.Range, said []byte) bool {
	k := t.peerNamed(name)
	if k < 0 {
		return false // of an earlier run
	}
	again, err := t.recall(ctx, t.peers[k], t.index, r)
	return err == nil && !bytes.Equal(again, said)
}

// compare calls fn for what others served within r and the witness has
// otherwise.
func (t *trial) compare(ctx context.Context, r segment.Range, fn func(source string, at int64, theirs, ours []byte) error) error {
	for _, run := range t.blob.Runs() {
		if run.Source == t.witness.Name() {
			continue
		}
		for _, part := range t.heard.Within(run.Intersect(r)) {
			for ; !part.Empty(); part.Start += window {
				w := segment.Range{Start: part.Start, End: min(part.Start+window, part.End)}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				theirs, ours, err := t.both(w)
				if err != nil {
					return err
				}
				if theirs == nil || bytes.Equal(theirs, ours) {
					continue
				}
				if err := fn(run.Source, w.Start, theirs, ours); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// both reads the bytes of w as they are on disk, and as the witness has them.
// There are none on disk if the disk has damaged them: that is nobody's lie.
func (t *trial) both(w segment.Range) (theirs, ours []byte, err error) {
	buf := make([]byte, state.MaxRecord)
	for at := w.Start; at < w.End; {
		n, err := t.blob.Read(at, buf)
		if n == 0 || err != nil {
			return nil, nil, err
		}
		n = int(min(int64(n), w.End-at))
		theirs = append(theirs, buf[:n]...)
		at += int64(n)
	}
	ours = make([]byte, w.Len())
	_, err = t.scratch.ReadAt(ours, w.Start)
	return theirs, ours, err
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// takeOver puts what was heard in the place of what convicted sources sent,
// so that it is not fetched a third time.
func (t *trial) takeOver() error {
	if t.liars.has(t.witness.Name()) {
		return nil
	}
	for _, run := range t.blob.Runs() {
		if !t.liars.has(run.Source) {
			continue
		}
		for _, r := range t.heard.Within(run.Range) {
			if err := t.replace(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace puts the witness's bytes in their place.
func (t *trial) replace(r segment.Range) error {
	buf := make([]byte, window)
	for ; !r.Empty(); r.Start += window {
		p := buf[:min(window, r.Len())]
		if _, err := t.scratch.ReadAt(p, r.Start); err != nil {
			return err
		}
		if err := t.blob.Replace(r.Start, p, t.peerNamed(t.witness.Name())); err != nil {
			return err
		}
	}
	return nil
}

// foresee ends a trial early: where lies are few, the blob may be right before
// all of it was heard. It hashes each time that twice as much was heard.
func (t *trial) foresee(ctx context.Context) (right bool, err error) {
	if !t.differs || t.heard.Len() < 2*t.hashed {
		return false, nil
	}
	t.hashed = t.heard.Len()
	if right, err = t.hash(ctx); right {
		return true, t.expose(ctx)
	}
	return false, err
}

// judge says who lied, once all was heard.
func (t *trial) judge(ctx context.Context) error {
	right, err := t.hash(ctx)
	switch {
	case err != nil:
		return err
	case right:
		return t.expose(ctx)
	case len(t.unheard(1)) > 0:
		return nil // a damaged disk had bytes fetched anew, from others
	case len(t.peers) == 1 && !t.witness.spared:
		return t.spare()
	}
	t.convict(t.witness.Name(), "%s is wrong as it alone has it", t.blobs[t.index].Digest)
	return nil
}

// hash hashes the blob as the witness has it.
func (t *trial) hash(ctx context.Context) (right bool, err error) {
	d := t.blobs[t.index]
	err = t.frontiers[t.index].Blob(ctx, t, string(d.Digest), d.Size)
	if mismatched(err) {
		return false, nil
	}
	return err == nil, err
}

// spare gives a witness that is the only source one more try.
func (t *trial) spare() error {
	t.witness.spared = true
	t.notify(Warning{Message: fmt.Sprintf("%s served wrong bytes of %s: trying once more; name another mirror by --mirror if that fails",
		t.witness.Name(), t.blobs[t.index].Digest)})
	return t.refetch(t.index, segment.Range{End: t.blob.Size()})
}

// expose convicts those whose bytes differ from the witness's, who was right.
func (t *trial) expose(ctx context.Context) error {
	return t.compare(ctx, segment.Range{End: t.blob.Size()}, func(source string, at int64, theirs, ours []byte) error {
		t.convict(source, "%s is right with bytes %v from %s instead",
			t.blobs[t.index].Digest, segment.Range{Start: at, End: at + int64(len(ours))}, t.witness.Name())
		return t.blob.Replace(at, ours, t.peerNamed(t.witness.Name()))
	})
}

// Wait implements verify.Source.
func (t *trial) Wait(ctx context.Context, off int64) error {
	if len(t.heard.Within(segment.Range{Start: off, End: off + 1})) > 0 {
		return nil
	}
	return t.blob.Wait(ctx, off)
}

// Read implements verify.Source: what was heard comes before what is on disk.
func (t *trial) Read(off int64, buf []byte) (int, error) {
	next := segment.Range{Start: off + verify.MaxRun, End: off + verify.MaxRun}
	if heard := t.heard.Within(segment.Range{Start: off, End: off + verify.MaxRun}); len(heard) > 0 {
		next = heard[0]
	}
	if next.Start == off {
		return t.scratch.ReadAt(buf[:next.Len()], off)
	}
	n, err := t.blob.Read(off, buf)
	return int(min(int64(n), next.Start-off)), err
}
