package segpull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/segpull/segpull/segment"
)

const (
	// leastWatched is the smallest blob that is watched: of a smaller one, all
	// is on its way before anything shows.
	leastWatched = 1 << 20

	// mostBehind is how many bytes a watch may lag behind the sources. Where
	// they are faster than decompression, bytes are cheap, and time is not.
	mostBehind = 16 << 20

	// mostCompared is the part of a blob, as a divisor, that two sources are
	// asked for to see which of them makes sense.
	mostCompared = 4
)

// hash returns when the blob is complete, and whether it is right. Meanwhile it
// is watched.
func (h *hearing) hash(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watches sync.WaitGroup
	defer watches.Wait()
	defer stop()
	watches.Go(func() { h.watch(watching) })
	watches.Go(func() { h.compareStarts(watching) })
	return h.frontiers[h.index].Blob(ctx, h.blob, h.digest(), h.blob.Size())
}

// watched says whether there are others to compare with, and time for it.
func (h *hearing) watched() bool {
	return len(h.peers) > 1 && h.blob.Size() >= leastWatched && len(h.blob.Missing()) > 0
}

// watch looks at a layer while it arrives. Where it breaks off, the sources are
// compared: one whose bytes broke it is set aside until the blob is judged, so
// that a fast liar can't serve most of it. This proves nothing, and convicts
// nobody.
func (h *hearing) watch(ctx context.Context) {
	if !h.watched() || h.blob.Wait(ctx, 0) != nil {
		return
	}
	select {
	case h.court.seats <- struct{}{}:
		defer func() { <-h.court.seats }()
	case <-ctx.Done():
		return
	}
	at, err := flaw(ctx, timely{h.onDisk()}, h.blob.Size(), h.blob.Size())
	if err != nil || at == flawless {
		return
	}
	h.unlessKnown(func() {
		if w, breaker, err := h.compare(ctx, at); breaker != nil && err == nil {
			h.between(ctx, w, breaker, at, breaker)
		}
	})
}

// unlessKnown calls fn if nobody was set aside yet, and no blob is being judged.
func (h *hearing) unlessKnown(fn func()) {
	if !h.court.tryEnter() {
		return
	}
	defer h.court.leave()
	if len(h.aside) == 0 {
		h.begin()
		fn()
	}
}

// compare looks for a source w with whose word the layer goes on beyond a flaw,
// and whose bytes that contradicts.
func (h *hearing) compare(ctx context.Context, at int64) (w, breaker *word, err error) {
	r := segment.Range{Start: max(0, at-firstBack), End: min(at+window, h.blob.Size())}
	for _, w := range h.others(max(0, at-1)) {
		v, err := h.as(ctx, w, r)
		if unavailable(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if differs, err := v.differs(ctx, h.onDisk(), r); !differs || err != nil {
			return nil, nil, err // two say the same: the blob is no layer
		}
		next, err := flaw(ctx, v, h.blob.Size(), r.End)
		if err != nil {
			return nil, nil, err
		}
		if next > at {
			breaker, err = h.contradicted(ctx, v, r)
			return w, breaker, err
		}
	}
	return nil, nil, nil
}

// between sets aside who of two sources loses, by what they say of the bytes up
// to at and a little beyond. Until that is known, it is b, but not the one by
// whose word the tag was resolved.
func (h *hearing) between(ctx context.Context, a, b *word, at int64, otherwise *word) {
	first := b
	if b.Name() == h.resolver {
		first = a
	}
	h.setAside(first)
	if last := h.loser(ctx, a, b, at, otherwise); last != first && ctx.Err() == nil {
		h.takeBack()
		if last != nil {
			h.setAside(last)
		}
	}
	if len(h.aside) == 0 {
		h.unfocus()
	}
}

// loser is the one who makes less sense, if two sources differ from the blob's
// start on; else it is otherwise, which may be nil.
func (h *hearing) loser(ctx context.Context, a, b *word, at int64, otherwise *word) *word {
	differ, err := h.differ(ctx, a, b, segment.Range{End: min(window, at)})
	if !differ || err != nil {
		return otherwise
	}
	loser, err := h.duel(ctx, a, b, segment.Range{End: min(at+window, h.blob.Size())})
	if err != nil {
		return otherwise
	}
	return loser
}

// others are the witnesses, last the one who served the byte at off.
func (h *hearing) others(off int64) []*word {
	server := h.onDisk().source(off)
	all := h.witnesses()
	if k := slices.IndexFunc(all, func(w *word) bool { return w.Name() == server }); k >= 0 {
		w := all[k]
		all = append(slices.Delete(all, k, k+1), w)
	}
	return all
}

// contradicted is whose bytes in r are other ones on disk than in v; nil if they
// are of an earlier run.
func (h *hearing) contradicted(ctx context.Context, v version, r segment.Range) (w *word, err error) {
	err = v.dissents(ctx, r, func(d dissent) error {
		if k := h.peerNamed(d.source); k >= 0 {
			w = h.words[k]
		}
		return nil
	})
	return w, err
}

// as is the blob as on disk, but for ranges as w has them.
func (h *hearing) as(ctx context.Context, w *word, ranges ...segment.Range) (version, error) {
	v := h.onDisk()
	for _, r := range ranges {
		if err := w.hear(ctx, w.unheard(r, r.Len())); err != nil {
			return v, err
		}
		v.take(w, r)
	}
	return v, nil
}

// differ says whether two sources have different bytes in r.
func (h *hearing) differ(ctx context.Context, a, b *word, r segment.Range) (bool, error) {
	as, err := h.as(ctx, a, r)
	if err != nil {
		return false, err
	}
	bs, err := h.as(ctx, b, r)
	if err != nil {
		return false, err
	}
	return as.differs(ctx, bs, r)
}

// duel decides between two sources that have different bytes from the blob's
// start on: what either served breaks off where the other's begins. It returns
// the one who has no sound start of a layer. If both have one, the blob's digest
// alone can tell, and the one by whose word the tag was resolved is trusted.
func (h *hearing) duel(ctx context.Context, a, b *word, start segment.Range) (loser *word, err error) {
	if start.End > h.blob.Size()/mostCompared {
		return nil, nil
	}
	var sound [2]bool
	for i, w := range []*word{a, b} {
		v, err := h.as(ctx, w, start)
		if err != nil {
			return nil, err
		}
		at, err := flaw(ctx, v, h.blob.Size(), start.End)
		if err != nil {
			return nil, err
		}
		sound[i] = at == flawless
	}
	switch {
	case !sound[0] && !sound[1]:
		return nil, nil
	case !sound[0], sound[1] && b.Name() == h.resolver:
		return a, nil
	}
	return b, nil
}

func (h *hearing) setAside(suspect *word) {
	k := h.peerNamed(suspect.Name())
	h.aside = append(h.aside, k)
	h.fetch.SetAside(k)
	h.focus()
	h.notify(Trouble{Source: suspect.Name(), Message: fmt.Sprintf("its bytes of %s seem to be wrong, so others are asked until that is clear", h.digest())})
}

// replaceAside returns true if the blob is right once others' bytes stand in the
// place of those of who was set aside. If these are many, it leaves it to mend
// to find which of them are wrong.
func (h *hearing) replaceAside(ctx context.Context) (right bool, err error) {
	for _, k := range h.aside {
		suspect := h.words[k].Name()
		if h.served(h.index, suspect) > h.blob.Size()/mostCompared {
			continue
		}
		for _, w := range h.witnesses() {
			if w.Name() == suspect {
				continue
			}
			v, err := h.as(ctx, w, h.servedBy(h.index, suspect)...)
			if unavailable(err) {
				continue
			}
			if err != nil {
				return false, err
			}
			return v.prove(ctx)
		}
	}
	return false, nil
}

// takeBack undoes setAside.
func (h *hearing) takeBack() {
	for _, k := range h.aside {
		h.fetch.TakeBack(k)
	}
	h.aside = nil
}

// focus leaves larger blobs for later if one of two sources lies: until it is
// clear which, it would be luck to ask the right one. With more, it would keep
// honest ones waiting.
func (h *hearing) focus() {
	if !h.focused && len(h.witnesses()) == 2 {
		h.focused = true
		h.fetch.Focus(h.index)
	}
}

func (h *hearing) unfocus() {
	if h.focused {
		h.focused = false
		h.fetch.Unfocus(h.index)
	}
}

// rest is called when it is clear who lied, or nobody did.
func (h *hearing) rest() {
	h.patient = false
	h.takeBack()
	h.unfocus()
}

// timely is a version that is read while it arrives, and not long after.
type timely struct{ version }

var errBehind = errors.New("the sources are faster")

// Read implements verify.Content.
func (t timely) Read(off int64, buf []byte) (int, error) {
	if t.blob.Prefix()-off > mostBehind {
		return 0, errBehind
	}
	return t.version.Read(off, buf)
}
