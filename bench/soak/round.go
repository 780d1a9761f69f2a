package soak

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// outcome is how a round's last attempt has to end.
type outcome string

const (
	succeeds   outcome = "succeeds"           // each blob has a correct source
	mismatches outcome = "only corrupt"       // all mirrors send the same byte wrong
	mayFail    outcome = "no correct mirrors" // any end is right, but no wrong output
)

// shape is where the output goes. The attempts of a round may write files of
// different formats there.
type shape string

const (
	toFile      shape = "file"
	toDirectory shape = "directory"
	toStdout    shape = "standard output"
)

// round is one pull and its disturbances. All of it follows from the seed and
// the number.
type round struct {
	seed, number uint64
	image        image
	outcome      outcome
	mirrors      []*mirror
	shape        shape
	byDigest     bool
	smallDisk    bool      // the output is on a disk whose size can change
	attempts     []attempt // the last one is undisturbed
}

func newRound(seed, number uint64) round {
	rnd := newRandom(seed, number)
	r := round{
		seed: seed, number: number,
		image:     drawImage(rnd),
		outcome:   pick(rnd, succeeds, succeeds, succeeds, succeeds, succeeds, mismatches, mayFail),
		shape:     pick(rnd, toFile, toFile, toFile, toFile, toDirectory, toStdout),
		byDigest:  rnd.chance(0.3),
		smallDisk: rnd.chance(0.15),
	}
	r.drawMirrors(rnd)
	for range rnd.IntN(6) {
		r.attempts = append(r.attempts, r.drawDisturbed(rnd))
	}
	r.attempts = append(r.attempts, r.drawUndisturbed(rnd))
	return r
}

// drawMirrors makes 1 to 4 mirrors that lead to the outcome.
func (r *round) drawMirrors(rnd random) {
	target := r.image.target(rnd)
	at := rnd.Int64N(target.Size)
	n := rnd.between(1, 4)
	needed := rnd.IntN(n) // one that is always correct
	for i := range n {
		role := correct
		switch r.outcome {
		case succeeds:
			if i != needed {
				role = pick(rnd, correct, useless, corrupt)
			}
		case mismatches:
			role = corrupt
		case mayFail:
			role = pick(rnd, useless, useless, corrupt)
		}
		m := drawMirror(rnd, fmt.Sprintf("m%d", i), role)
		switch {
		case r.outcome == mismatches:
			m.corruptAt(rnd, target, at)
		case role == corrupt:
			m.drawCorruption(rnd, r.image.target(rnd))
		}
		r.mirrors = append(r.mirrors, m)
	}
	if r.outcome == succeeds && rnd.chance(0.3) {
		r.scatter(rnd)
	}
}

// scatter removes blobs from correct mirrors, and leaves each blob at one of
// them at least.
func (r *round) scatter(rnd random) {
	var at []*mirror
	for _, m := range r.mirrors {
		if m.role == correct {
			at = append(at, m)
		}
	}
	for _, b := range r.image.blobs() {
		keeper := pick(rnd, at...)
		for _, m := range at {
			if m != keeper && rnd.chance(0.5) {
				m.lacks = append(m.lacks, b.Digest)
			}
		}
	}
}

// completeAt reports whether each blob has a correct source among these mirrors.
func (r *round) completeAt(mirrors []*mirror) bool {
	has := func(b digest.Digest) bool {
		return slices.ContainsFunc(mirrors, func(m *mirror) bool {
			return m.role == correct && !slices.Contains(m.lacks, b)
		})
	}
	for _, b := range r.image.blobs() {
		if !has(b.Digest) {
			return false
		}
	}
	return true
}

// outcomeOf is how an undisturbed attempt with these mirrors has to end.
func (r *round) outcomeOf(mirrors []*mirror) outcome {
	switch {
	case r.outcome == mismatches:
		return mismatches
	case r.completeAt(mirrors):
		return succeeds
	}
	return mayFail
}

func (r *round) hasCorrupt() bool {
	return slices.ContainsFunc(r.mirrors, func(m *mirror) bool { return m.role == corrupt })
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
	fmt.Fprintf(&b, "round %d of seed %d: %s, by %s, to a %s\n", r.number, r.seed, r.outcome, r.reference(), r.shape)
	fmt.Fprintf(&b, "  image: %s\n", r.image)
	for _, m := range r.mirrors {
		fmt.Fprintf(&b, "  mirror %s\n", m)
	}
	for i, a := range r.attempts {
		fmt.Fprintf(&b, "  attempt %d: %s\n", i, a)
	}
	return b.String()
}
