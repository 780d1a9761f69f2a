package segpull

import (
	"bytes"
	"context"
	"fmt"

	"github.com/segpull/segpull/segment"
)

const (
	// A witness is heard in steps that double, so that a contradiction is
	// found before all of the blob was fetched again.
	firstStep = 64 << 10
	lastStep  = 4 << 20

	// confrontation is how many bytes two sources that contradict each other
	// are asked for again, and confrontations how often.
	confrontation  = 16 << 10
	confrontations = 3
	// mostStreamed is how much of a blob one who serves no ranges is asked for
	// again.
	mostStreamed = 1 << 20
)

// trial takes the word of one source, the witness, for a whole blob: what
// others served of it is fetched from the witness too, and the blob is hashed
// as the witness has it. If it is right, those whose bytes differ lied; if it
// is wrong, the witness did. What is on disk stays as it is until then.
type trial struct {
	version
	witness *word
	differs bool           // whether others have served anything else
	hashed  int64          // bytes that were heard when the blob was last hashed
	met     map[string]int // confrontations with each source
}

// try holds a trial. Afterwards the blob is right, or bytes of it are wanted
// anew, or somebody was convicted. If the witness is not to be heard, the error
// is a *segment.GiveUpError or a *segment.HopelessError.
func (h *hearing) try(ctx context.Context, witness *word) (right bool, err error) {
	t := &trial{version: h.onDisk(), witness: witness, met: make(map[string]int)}
	// Steps that each come just in time would add up to hours.
	listening, cancel := h.waitFor(witness.peer, []segment.Range{h.whole()}).Limit(ctx)
	defer cancel()
	part := []segment.Range{h.whole()} // some of it was heard before
	for step := int64(firstStep); ; step = min(2*step, lastStep) {
		t.take(witness, h.whole())
		liar, err := t.confront(ctx, part)
		if err != nil {
			return false, err
		}
		if liar {
			return false, t.takeOver(ctx)
		}
		if right, err := t.foresee(ctx); right || err != nil {
			return right, err
		}
		if part = witness.unheard(h.whole(), step); len(part) == 0 {
			return t.judge(ctx)
		}
		if err := witness.hear(listening, part); err != nil {
			return false, err
		}
	}
}

// confront asks again both who served bytes and the witness, where they do not
// agree. Who does not say the same as before is convicted.
func (t *trial) confront(ctx context.Context, ranges []segment.Range) (liar bool, err error) {
	for _, r := range ranges {
		err := t.dissents(ctx, r, func(d dissent) error {
			t.differs = true
			if liar || t.met[d.source] == confrontations {
				return nil
			}
			t.met[d.source]++
			first := firstDifference(d.theirs, d.ours)
			n := min(first+confrontation, len(d.ours))
			again := segment.Range{Start: d.at + int64(first), End: d.at + int64(n)}
			for name, said := range map[string][]byte{d.source: d.theirs[first:n], t.witness.Name(): d.ours[first:n]} {
				if t.contradicts(ctx, name, again, said) {
					t.convict(name, "it sent two different things for bytes %v of %s", again, t.digest())
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
	w := t.words[k]
	if w.silent != nil || t.streams(w.peer) && r.End > mostStreamed {
		return false
	}
	again, err := t.recall(ctx, w.peer, t.index, r)
	w.fallSilent(err)
	return err == nil && !bytes.Equal(again, said)
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
func (t *trial) takeOver(ctx context.Context) error {
	if t.liars.has(t.witness.Name()) {
		return nil
	}
	for _, run := range t.blob.Runs() {
		if !t.liars.has(run.Source) {
			continue
		}
		err := t.eachTaken(ctx, run.Range, func(w *word, r segment.Range) error {
			p, err := t.bytes(r)
			if err != nil {
				return err
			}
			return t.blob.Replace(r.Start, p, t.peerNamed(w.Name()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// foresee ends a trial early: where lies are few, the blob may be right before
// all of it was heard. It hashes each time that twice as much was heard.
func (t *trial) foresee(ctx context.Context) (right bool, err error) {
	if !t.differs || t.witness.heard.Len() < 2*t.hashed {
		return false, nil
	}
	t.hashed = t.witness.heard.Len()
	return t.prove(ctx)
}

// judge says who lied, once all was heard.
func (t *trial) judge(ctx context.Context) (right bool, err error) {
	right, err = t.prove(ctx)
	switch {
	case right || err != nil:
		return right, err
	case len(t.witness.unheard(t.whole(), 1)) > 0:
		return false, nil // a damaged disk had bytes fetched anew, from others
	case !t.witness.spared && t.alone():
		return false, t.spare()
	}
	t.convict(t.witness.Name(), "%s is wrong as it alone has it", t.digest())
	return false, nil
}

// alone says whether nobody else has the blob.
func (t *trial) alone() bool {
	return !t.anyOther(t.witness.Name(), func(k int) bool { return !t.fetch.Lacks(k, t.index) })
}

// spare gives a witness that is the only source one more try.
func (t *trial) spare() error {
	t.witness.spared = true
	t.notify(Warning{Message: fmt.Sprintf("%s served wrong bytes of %s: trying once more; name another mirror by --mirror if that fails",
		t.witness.Name(), t.digest())})
	return t.refetch(t.index, t.whole())
}
