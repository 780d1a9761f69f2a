package segpull

import (
	"context"
	"slices"
	"time"

	"github.com/segpull/segpull/segment"
)

const (
	// A flaw shows at most a block of the compression after the lie: 128 KiB
	// in zstd (RFC 8878, 3.1.1.2.4), and about as much in what gzip makes.
	firstBack = 128 << 10

	// A flaw in the last few bytes is that of a checksum, which does not say
	// where the lie is.
	checksum = 64

	// lookPatience is how much longer looking at a blob may take than hearing
	// others about it.
	lookPatience = 30 * time.Second
)

// mender follows the flaws of a layer: the bytes before one are heard from
// others too, and whose word makes the stream go on is believed. So only about
// as much is fetched again as was wrong, and each of several liars may have
// told the truth about other bytes.
type mender struct {
	version
	flaw      int64   // where the version breaks off
	witnesses []*word // in the order in which they are heard
	believed  *word   // whose word was taken last
	ahead     int64   // how much beyond a flaw is heard at least
	looked    time.Duration
	listened  time.Duration
}

// mend returns true if it has made the blob right. Else nobody is convicted,
// and what was heard is a help to trials.
func (h *hearing) mend(ctx context.Context, witnesses []*word) (right bool, err error) {
	m := &mender{version: h.onDisk(), witnesses: witnesses, ahead: window}
	if m.flaw, err = m.look(ctx, m.version); err != nil {
		return false, err
	}
	for m.flaw < h.blob.Size()-checksum && m.looked < m.listened+lookPatience {
		if better, err := m.step(ctx); !better || err != nil {
			return false, err
		}
	}
	if len(m.taken) == 0 {
		return false, nil
	}
	return m.prove(ctx)
}

// step looks for a word that moves the flaw on, or away.
func (m *mender) step(ctx context.Context) (better bool, err error) {
	for _, w := range m.witnesses {
		for back := int64(firstBack); ; back *= 2 {
			r := segment.Range{Start: max(0, m.flaw-back), End: min(m.flaw+m.ahead, m.blob.Size())}
			if better, err = m.try(ctx, w, r); better || err != nil {
				return better, err
			}
			if r.Start == 0 || back >= m.most() {
				break
			}
		}
	}
	return false, nil
}

// most is how much is heard at once.
func (m *mender) most() int64 { return max(window, min(m.blob.Size()/16, lastStep)) }

// try takes w's word for r, if that moves the flaw on.
func (m *mender) try(ctx context.Context, w *word, r segment.Range) (better bool, err error) {
	other := m.clone()
	if heard, err := m.hear(ctx, other, w, r); !heard || err != nil {
		return false, err
	}
	if differs, err := m.differs(ctx, other, r); !differs || err != nil {
		return false, err
	}
	if w == m.believed {
		if err := m.widen(ctx, other, w, r.End); err != nil {
			return false, err
		}
	}
	flaw, err := m.look(ctx, other)
	if err != nil || flaw <= m.flaw {
		return false, err
	}
	m.believe(w)
	m.version, m.flaw = other, flaw
	return true, nil
}

// believe has w heard first from now on, and suspects whose word stood before
// the flaw. Where looking takes longer than hearing, it will look less often.
func (m *mender) believe(w *word) {
	if suspect := m.source(m.flaw - 1); suspect != w.Name() {
		m.suspects[suspect] = true
	}
	m.believed = w
	m.witnesses = append([]*word{w}, slices.DeleteFunc(slices.Clone(m.witnesses), func(other *word) bool { return other == w })...)
	if m.looked > m.listened {
		m.ahead = min(2*m.ahead, m.most())
	}
}

// widen has other take w's word from end on too, as long as it differs from
// what is there: lies come in a row.
func (m *mender) widen(ctx context.Context, other version, w *word, end int64) error {
	for step := int64(window); end < m.blob.Size(); step = min(2*step, m.most()) {
		differs, err := m.differs(ctx, other, segment.Range{Start: max(0, end-window), End: end})
		if !differs || err != nil {
			return err
		}
		next := segment.Range{Start: end, End: min(end+step, m.blob.Size())}
		if heard, err := m.hear(ctx, other, w, next); !heard || err != nil {
			return err
		}
		end = next.End
	}
	return nil
}

// hear has v take w's word for r. It returns false if w is silent.
func (m *mender) hear(ctx context.Context, v version, w *word, r segment.Range) (heard bool, err error) {
	began := time.Now()
	err = w.hear(ctx, w.unheard(r, r.Len()))
	m.listened += time.Since(began)
	if unavailable(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v.take(w, r)
	return true, nil
}

// look returns the flaw of a version.
func (m *mender) look(ctx context.Context, v version) (int64, error) {
	began := time.Now()
	defer func() { m.looked += time.Since(began) }()
	return flaw(ctx, v, v.blob.Size(), v.blob.Size())
}
