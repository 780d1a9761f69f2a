package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// attempt is one start of segpull and its disturbances.
type attempt struct {
	mirrors  []*mirror
	useless  bool // the mirrors lack some blobs
	flags    []string
	format   string
	progress string
	damages  []damage // to files, before the start
	cause    cause
	after    time.Duration   // until the cause
	pausedAt time.Duration   // until SIGSTOP; 0: never
	paused   time.Duration   // until SIGCONT
	others   []time.Duration // delays of others that work on the same output
	room     int64           // bytes left on the disk, with fullDisk
}

// cause is what ends an attempt early.
type cause string

const (
	undisturbed cause = "nothing"
	kill        cause = "SIGKILL"
	interrupt   cause = "SIGINT"
	terminate   cause = "SIGTERM"
	fullDisk    cause = "a full disk"
)

// drawDisturbed makes an attempt that is disturbed.
func (r *round) drawDisturbed(rnd random) attempt {
	a := r.drawUndisturbed(rnd)
	if rnd.chance(0.3) { // other mirrors
		rnd.Shuffle(len(a.mirrors), func(i, k int) { a.mirrors[i], a.mirrors[k] = a.mirrors[k], a.mirrors[i] })
		a.mirrors = a.mirrors[:rnd.between(1, len(a.mirrors))]
		a.useless = r.outcomeOf(a.mirrors) == mayFail
	}
	a.cause = pick(rnd, kill, kill, kill, kill, kill, interrupt, terminate, fullDisk, undisturbed)
	a.after = rnd.duration(5*time.Millisecond, 2*time.Second)
	a.room = rnd.size(kib, r.image.size())
	if rnd.chance(0.25) {
		for range rnd.between(1, 3) {
			a.damages = append(a.damages, drawDamage(rnd))
		}
	}
	if rnd.chance(0.2) {
		for range rnd.between(1, 2) {
			a.others = append(a.others, rnd.duration(time.Millisecond, a.after))
		}
	}
	return a
}

// drawUndisturbed makes an attempt that at most is paused.
func (r *round) drawUndisturbed(rnd random) attempt {
	a := attempt{
		mirrors: slices.Clone(r.mirrors), useless: r.outcome == mayFail,
		cause: undisturbed, format: "oci", progress: pick(rnd, "json", "json", "json", "plain", "none"),
	}
	if r.shape != toDirectory {
		a.format = pick(rnd, "docker-archive", "docker-archive", "legacy", "oci-archive")
	}
	if rnd.chance(0.3) {
		a.flags = append(a.flags, "--connections", fmt.Sprint(rnd.between(1, 16)))
	}
	if rnd.chance(0.5) {
		a.flags = append(a.flags, "--segment-size", fmt.Sprint(rnd.size(64*kib, 16*mib)))
	}
	if rnd.chance(0.3) {
		a.flags = append(a.flags, "--limit-rate", fmt.Sprint(rnd.size(2*mib, 32*mib)))
	}
	if rnd.chance(0.15) {
		a.pausedAt, a.paused = rnd.duration(5*time.Millisecond, time.Second), rnd.duration(10*time.Millisecond, 2*time.Second)
	}
	return a
}

func (a attempt) String() string {
	var b strings.Builder
	for _, w := range a.damages {
		fmt.Fprintf(&b, "%s; ", w)
	}
	fmt.Fprintf(&b, "%s %s from", a.format, strings.Join(a.flags, " "))
	for _, m := range a.mirrors {
		b.WriteString(" " + m.name)
	}
	if a.paused > 0 {
		fmt.Fprintf(&b, "; stopped after %s for %s", a.pausedAt, a.paused)
	}
	if len(a.others) > 0 {
		fmt.Fprintf(&b, "; others on the same output after %s", a.others)
	}
	switch a.cause {
	case undisturbed:
	case fullDisk:
		fmt.Fprintf(&b, "; room for %d bytes", a.room)
	default:
		fmt.Fprintf(&b, "; %s after %s", a.cause, a.after)
	}
	return b.String()
}
