package segpull

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/state"
	"github.com/segpull/segpull/verify"
)

// silenceMemory is for how long one who kept us waiting is passed over.
const silenceMemory = 30 * time.Second

// hearing is what is known of one blob whose bytes may be wrong: who served
// them, and what others said when they were asked for the same. Nobody is
// asked for the same twice, but to see whether it says the same.
type hearing struct {
	*job
	index int
	blob  *state.Blob
	words []*word // of each peer
	buf   []byte  // for version.bytes

	suspects map[string]bool // whose bytes seem to be wrong
	aside    []int           // peers that the watch has set aside
	focused  bool            // no blob after it is fetched
	patient  bool            // nobody else is left to hear
	wrongAt  time.Time       // when it last turned out wrong
}

// word is what one peer says of bytes that others served.
type word struct {
	*peer
	hearing *hearing
	base    int64       // where the blob would begin in the scratch file
	heard   segment.Set // which bytes are in the scratch file
	silent  error       // why nothing is to be heard just now
}

func (j *job) hearing(i int) *hearing {
	h := &hearing{job: j, index: i, blob: j.store.Blob(i), suspects: make(map[string]bool)}
	for k, p := range j.peers {
		h.words = append(h.words, &word{peer: p, hearing: h, base: j.scratchOffset(k, i)})
	}
	return h
}

// scratchOffset is a place for blob i as the k-th peer has it, in a sparse
// file that all hearings share.
func (j *job) scratchOffset(k, i int) (off int64) {
	for n, b := range j.blobs {
		off += int64(k) * b.Size
		if n < i {
			off += b.Size
		}
	}
	return off
}

func (h *hearing) digest() string { return string(h.blobs[h.index].Digest) }

func (h *hearing) whole() segment.Range { return segment.Range{End: h.blob.Size()} }

// witnesses are those who were not convicted, in the order in which they are
// to be believed: last those that seem to lie, or have lied of late, or never
// were proved right; first those that served most of the blob, since to hear the
// rest of it from them costs least.
func (h *hearing) witnesses() []*word {
	trusted := slices.DeleteFunc(slices.Clone(h.words), func(w *word) bool { return h.liars.has(w.Name()) })
	slices.SortStableFunc(trusted, func(a, b *word) int {
		return cmp.Or(
			cmp.Compare(h.distrust(a.Name()), h.distrust(b.Name())),
			cmp.Compare(h.weight(b.Name()), h.weight(a.Name())),
		)
	})
	return trusted
}

// distrust is the greater, the less a source has done for being believed.
func (h *hearing) distrust(name string) int {
	switch {
	case h.suspects[name], slices.Contains(h.aside, h.peerNamed(name)):
		return 3
	case h.court.doubted[name]:
		return 2
	case !h.proved(name) && name != h.resolver:
		return 1
	}
	return 0
}

// weight is how much of the blob a source served. Of two sources, that of the
// one whose word counted for the tag is doubled: it could have lied there.
func (h *hearing) weight(name string) int64 {
	n := h.served(h.index, name)
	if name == h.resolver && len(h.peers) == 2 {
		n *= 2
	}
	return n
}

// proved says whether a source has served any of a blob that is right.
func (j *job) proved(name string) bool {
	for i := range j.blobs {
		if j.right[i].Load() && j.served(i, name) > 0 {
			return true
		}
	}
	return false
}

// servedBy is which bytes of blob i came from a source.
func (j *job) servedBy(i int, name string) (ranges []segment.Range) {
	for _, run := range j.store.Blob(i).Runs() {
		if run.Source == name {
			ranges = append(ranges, run.Range)
		}
	}
	return ranges
}

// served is how much of blob i came from a source.
func (j *job) served(i int, name string) (n int64) {
	for _, r := range j.servedBy(i, name) {
		n += r.Len()
	}
	return n
}

// unheard is the bytes of r, at most so many, that are not the peer's on disk
// and that it has not been asked for.
func (w *word) unheard(within segment.Range, most int64) []segment.Range {
	var found segment.Set
	for _, run := range w.hearing.blob.Runs() {
		if run.Source == w.Name() {
			continue
		}
		for _, r := range w.heard.Without(run.Intersect(within)) {
			r.End = min(r.End, r.Start+most-found.Len())
			found.Add(r)
		}
	}
	return found.Ranges()
}

// hear asks the peer for bytes. Once it has given up on it, it does so at once.
func (w *word) hear(ctx context.Context, ranges []segment.Range) error {
	h := w.hearing
	if !h.patient && w.silentOfLate() {
		w.silent = &segment.GiveUpError{After: quickAnswer}
	}
	if w.silent != nil || len(ranges) == 0 {
		return w.silent
	}
	if h.streams(w.peer) { // it would begin anew each time
		ranges = w.unheard(h.whole(), h.blob.Size())
	}
	err := h.ask(ctx, w.peer, h.index, ranges, h.waitFor(w.peer, ranges), w.note)
	w.fallSilent(err)
	return err
}

// waitFor is how long the peer may take for ranges: long only when nobody else is
// left to hear.
func (h *hearing) waitFor(p *peer, ranges []segment.Range) segment.Budget {
	bytes := int64(0)
	for _, r := range ranges {
		bytes += r.Len()
	}
	if h.streams(p) {
		bytes = h.blob.Size()
	}
	if h.patient {
		return h.patience(p, bytes)
	}
	return h.haste(p, bytes, h.wrongAt)
}

// fallSilent takes note of an error of a peer that is not to be heard.
func (w *word) fallSilent(err error) {
	if !unavailable(err) {
		return
	}
	w.silent = err
	if !hopeless(err) {
		w.peer.silent.Store(time.Now().Unix())
	}
}

// silentOfLate says whether the peer has kept us waiting a moment ago.
func (w *word) silentOfLate() bool {
	return time.Since(time.Unix(w.peer.silent.Load(), 0)) < silenceMemory
}

// silence is why somebody could not be heard who may yet come back.
func (h *hearing) silence() error {
	for _, w := range h.words {
		if w.silent != nil && !hopeless(w.silent) {
			return w.silent
		}
	}
	return nil
}

// note puts what the peer says into the scratch file.
func (w *word) note(off int64, p []byte) error {
	if w.hearing.court.scratch == nil {
		f, err := w.hearing.store.Create() // it goes with the folder
		if err != nil {
			return err
		}
		w.hearing.court.scratch = f
	}
	_, err := w.hearing.court.scratch.WriteAt(p, w.base+off)
	w.heard.Add(segment.Range{Start: off, End: off + int64(len(p))})
	return err
}

// read reads what was heard.
func (w *word) read(off int64, p []byte) (int, error) {
	return w.hearing.court.scratch.ReadAt(p, w.base+off)
}

// unavailable says whether an error means that a peer does not answer, or not
// for this blob.
func unavailable(err error) bool {
	_, gaveUp := errors.AsType[*segment.GiveUpError](err)
	return gaveUp || hopeless(err)
}

// begin is called when the blob has turned out wrong once more. Who was silent
// before may have come back.
func (h *hearing) begin() {
	h.wrongAt = time.Now()
	h.buf = make([]byte, verify.MaxRun)
	for _, w := range h.words {
		w.silent = nil
	}
}

// keep puts what a peer served into the scratch file.
func (h *hearing) keep(ctx context.Context, run state.Run) error {
	k := h.peerNamed(run.Source)
	if k < 0 {
		return nil // of an earlier run
	}
	return eachWindow(ctx, run.Range, func(r segment.Range) error {
		p, err := h.onDisk().bytes(r)
		if err != nil || p == nil {
			return err
		}
		return h.words[k].note(r.Start, p)
	})
}
