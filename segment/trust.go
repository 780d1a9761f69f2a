package segment

import "time"

// Trust is how far a source is used.
type Trust int

const (
	// Trusted sources are asked for everything.
	Trusted Trust = iota
	// Suspect ones are left alone as long as the others bring enough.
	Suspect
	// Excluded ones are asked only for what no other source has, for the rest
	// of the fetch.
	Excluded
)

// SetTrust says how far a source is used from now on, and takes away from it
// what it may not fetch any more.
func (f *Fetch) SetTrust(source int, trust Trust) {
	f.locked(func() {
		before := f.trust[source]
		if before == trust || before == Excluded {
			return
		}
		f.trust[source] = trust
		if before == Suspect {
			f.sched.clear(source)
		}
		switch trust {
		case Suspect:
			f.sched.suspect(source, time.Now())
		case Excluded:
			f.sched.ban(source)
		}
	})
	f.poke()
}

// Hold keeps blobs after this one from being fetched until Release is called,
// or this blob takes much longer than it should: it is to show which source
// sends wrong bytes.
func (f *Fetch) Hold(blob int) {
	f.locked(func() { f.sched.hold(blob, time.Now()) })
}

// Release undoes a Hold.
func (f *Fetch) Release(blob int) {
	f.locked(func() { f.sched.release(blob) })
	f.poke()
}
