package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// fate is how a round's pull has to end once it is left in peace.
type fate string

const (
	endsWell fate = "ends well"         // each blob has an honest source
	endsIn5  fate = "liars alone"       // all lie about the same byte
	mayFail  fate = "no honest mirrors" // whatever comes, nothing wrong
)

// shape is where the output goes. The formats of files may take turns on one
// output.
type shape string

const (
	toFile   shape = "file"
	toFolder shape = "folder"
	toStdout shape = "standard output"
)

// round is what is done to one pull; all of it follows from the seed and
// the number.
type round struct {
	seed, number uint64
	image        image
	fate         fate
	mirrors      []*mirror
	shape        shape
	byDigest     bool
	smallDisk    bool      // the output's disk is one whose size can be changed
	runs         []attempt // the last one is left in peace
}

func newRound(seed, number uint64) round {
	d := newDice(seed, number)
	r := round{
		seed: seed, number: number,
		image:     drawImage(d),
		fate:      pick(d, endsWell, endsWell, endsWell, endsWell, endsWell, endsIn5, mayFail),
		shape:     pick(d, toFile, toFile, toFile, toFile, toFolder, toStdout),
		byDigest:  d.chance(0.3),
		smallDisk: d.chance(0.15),
	}
	r.drawMirrors(d)
	for range d.IntN(6) {
		r.runs = append(r.runs, r.drawRun(d))
	}
	r.runs = append(r.runs, r.drawPeace(d))
	return r
}

// drawMirrors makes 1 to 4 mirrors that lead to the fate.
func (r *round) drawMirrors(d dice) {
	victim := r.image.victim(d)
	at := d.Int64N(victim.Size)
	n := d.among(1, 4)
	needed := d.IntN(n) // one that is honest in any case
	for i := range n {
		role := honest
		switch r.fate {
		case endsWell:
			if i != needed {
				role = pick(d, honest, useless, liar)
			}
		case endsIn5:
			role = liar
		case mayFail:
			role = pick(d, useless, useless, liar)
		}
		m := drawMirror(d, fmt.Sprintf("m%d", i), role)
		switch {
		case r.fate == endsIn5:
			m.lieAt(d, victim, at)
		case role == liar:
			m.drawLie(d, r.image.victim(d))
		}
		r.mirrors = append(r.mirrors, m)
	}
	if r.fate == endsWell && d.chance(0.3) {
		r.scatter(d)
	}
}

// scatter takes blobs from honest mirrors, so that each blob is at one of them
// at least.
func (r *round) scatter(d dice) {
	var at []*mirror
	for _, m := range r.mirrors {
		if m.role == honest {
			at = append(at, m)
		}
	}
	for _, b := range r.image.blobs() {
		keeper := pick(d, at...)
		for _, m := range at {
			if m != keeper && d.chance(0.5) {
				m.lacks = append(m.lacks, b.Digest)
			}
		}
	}
}

// honestFor tells whether each blob has an honest source among these mirrors.
func (r *round) honestFor(mirrors []*mirror) bool {
	has := func(b digest.Digest) bool {
		return slices.ContainsFunc(mirrors, func(m *mirror) bool {
			return m.role == honest && !slices.Contains(m.lacks, b)
		})
	}
	for _, b := range r.image.blobs() {
		if !has(b.Digest) {
			return false
		}
	}
	return true
}

// fateOf is how a run with these mirrors has to end if nothing befalls it.
func (r *round) fateOf(mirrors []*mirror) fate {
	switch {
	case r.fate == endsIn5:
		return endsIn5
	case r.honestFor(mirrors):
		return endsWell
	}
	return mayFail
}

func (r *round) hasLiars() bool {
	return slices.ContainsFunc(r.mirrors, func(m *mirror) bool { return m.role == liar })
}

// reference names the image as the command line does.
func (r *round) reference() string {
	if r.byDigest {
		return "soak@" + r.image.pushed.Manifest.Digest.String()
	}
	return "soak:1"
}

func (r round) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d of seed %d: %s, by %s, to a %s\n", r.number, r.seed, r.fate, r.reference(), r.shape)
	fmt.Fprintf(&b, "  image: %s\n", r.image)
	for _, m := range r.mirrors {
		fmt.Fprintf(&b, "  mirror %s\n", m)
	}
	for i, run := range r.runs {
		fmt.Fprintf(&b, "  run %d: %s\n", i, run)
	}
	return b.String()
}

// attempt is one start of segpull and what befalls it.
type attempt struct {
	mirrors  []*mirror
	useless  bool // the mirrors have not all that it takes
	flags    []string
	format   string
	progress string
	wounds   []wound // of the part folder, before the run
	blow     blow
	after    time.Duration // until the blow
	pausedAt time.Duration // when it is stopped; 0: never
	paused   time.Duration // and for how long
	rivals   []time.Duration
	room     int64 // bytes that can be written, with the blow noRoom
}

// blow is what ends a run.
type blow string

const (
	peace     blow = "nothing"
	kill      blow = "SIGKILL"
	interrupt blow = "SIGINT"
	terminate blow = "SIGTERM"
	noRoom    blow = "a full disk"
)

// drawRun makes a run that suffers.
func (r *round) drawRun(d dice) attempt {
	run := r.drawPeace(d)
	if d.chance(0.3) { // other mirrors
		d.Shuffle(len(run.mirrors), func(a, b int) { run.mirrors[a], run.mirrors[b] = run.mirrors[b], run.mirrors[a] })
		run.mirrors = run.mirrors[:d.among(1, len(run.mirrors))]
		run.useless = r.fateOf(run.mirrors) == mayFail
	}
	run.blow = pick(d, kill, kill, kill, kill, kill, interrupt, terminate, noRoom, peace)
	run.after = d.span(5*time.Millisecond, 2*time.Second)
	run.room = d.size(kib, r.image.size())
	if d.chance(0.25) {
		for range d.among(1, 3) {
			run.wounds = append(run.wounds, drawWound(d))
		}
	}
	if d.chance(0.2) {
		for range d.among(1, 2) {
			run.rivals = append(run.rivals, d.span(time.Millisecond, run.after))
		}
	}
	return run
}

// drawPeace makes a run that is left in peace, but for a pause.
func (r *round) drawPeace(d dice) attempt {
	run := attempt{mirrors: slices.Clone(r.mirrors), useless: r.fate == mayFail, blow: peace, format: "oci", progress: pick(d, "json", "json", "json", "plain", "none")}
	if r.shape != toFolder {
		run.format = pick(d, "docker-archive", "docker-archive", "legacy", "oci-archive")
	}
	if d.chance(0.3) {
		run.flags = append(run.flags, "--connections", fmt.Sprint(d.among(1, 16)))
	}
	if d.chance(0.5) {
		run.flags = append(run.flags, "--segment-size", fmt.Sprint(d.size(64*kib, 16*mib)))
	}
	if d.chance(0.3) {
		run.flags = append(run.flags, "--limit-rate", fmt.Sprint(d.size(2*mib, 32*mib)))
	}
	if d.chance(0.15) {
		run.pausedAt, run.paused = d.span(5*time.Millisecond, time.Second), d.span(10*time.Millisecond, 2*time.Second)
	}
	return run
}

func (run attempt) String() string {
	var b strings.Builder
	for _, w := range run.wounds {
		fmt.Fprintf(&b, "%s; ", w)
	}
	fmt.Fprintf(&b, "%s %s from", run.format, strings.Join(run.flags, " "))
	for _, m := range run.mirrors {
		b.WriteString(" " + m.name)
	}
	if run.paused > 0 {
		fmt.Fprintf(&b, "; stopped after %s for %s", run.pausedAt, run.paused)
	}
	if len(run.rivals) > 0 {
		fmt.Fprintf(&b, "; others on the same output after %s", run.rivals)
	}
	switch run.blow {
	case peace:
	case noRoom:
		fmt.Fprintf(&b, "; room for %d bytes", run.room)
	default:
		fmt.Fprintf(&b, "; %s after %s", run.blow, run.after)
	}
	return b.String()
}
