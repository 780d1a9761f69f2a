package fleetsim

import "container/list"

// origin is a `segpull serve`.
type origin struct {
	out     line
	disk    int64 // bytes; 0: no limit
	used    int64
	sizes   []int64
	blobs   map[int]*list.Element // whole ones
	order   list.List             // of blobs, the most recently used one first
	fetches map[int]*fetch
}

func newOrigin(f Fleet) *origin {
	return &origin{
		out: line{rate: f.OriginRate}, disk: f.OriginDisk, sizes: f.Blobs,
		blobs: make(map[int]*list.Element), fetches: make(map[int]*fetch),
	}
}

// use reports whether a blob is there, and marks it as used.
func (o *origin) use(blob int) bool {
	e, ok := o.blobs[blob]
	if ok {
		o.order.MoveToFront(e)
	}
	return ok
}

// keep takes a whole blob, and removes others that the disk has no room for.
func (o *origin) keep(blob int) {
	delete(o.fetches, blob)
	o.blobs[blob] = o.order.PushFront(blob)
	o.used += o.sizes[blob]
	for o.disk > 0 && o.used > o.disk && o.order.Len() > 1 {
		last := o.order.Back()
		old := o.order.Remove(last).(int)
		delete(o.blobs, old)
		o.used -= o.sizes[old]
	}
}

// fetch is a blob that an origin fetches from the mirrors.
type fetch struct {
	size, issued, received int64
	piece                  int64 // size of the next one
	waiting                []*transit
}

// has reports whether the first bytes of a blob may be sent.
func (f *fetch) has(bytes int64, verifiedOnly bool) bool {
	if verifiedOnly {
		bytes = f.size
	}
	return f.received >= bytes
}

// add lets a transit go on when the next bytes are there.
func (f *fetch) add(t *transit) {
	if !t.waits {
		t.waits = true
		f.waiting = append(f.waiting, t)
	}
}

// fetchTo joins the fetch of a blob, or begins it.
func (s *simulation) fetchTo(o *origin, blob int) *fetch {
	if f := o.fetches[blob]; f != nil {
		return f
	}
	f := &fetch{size: s.Blobs[blob], piece: min(firstPiece, s.Piece)}
	o.fetches[blob] = f
	s.at(s.now+s.MirrorDelay, func() { s.fetchOn(o, blob, f) })
	return f
}

// fetchOn asks the mirrors for pieces, as many as may be on their way.
func (s *simulation) fetchOn(o *origin, blob int, f *fetch) {
	for f.issued < f.size && f.issued-f.received < window*s.Piece {
		n := min(f.piece, f.size-f.issued)
		f.issued += n
		f.piece = min(f.piece*growth, s.Piece)
		s.at(s.mirrors.send(s.now, n), func() { s.fetched(o, blob, f, n) })
	}
}

// fetched takes a piece at the origin, and goes on with those who waited for it.
func (s *simulation) fetched(o *origin, blob int, f *fetch, n int64) {
	if f.received += n; f.received == f.size {
		o.keep(blob)
	} else {
		s.fetchOn(o, blob, f)
	}
	waiting := f.waiting
	f.waiting = nil
	for _, t := range waiting {
		t.waits = false
		s.send(t)
	}
}
