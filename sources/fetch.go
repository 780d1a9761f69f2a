package sources

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/segpull/segpull/image"
)

const (
	// headStart is how long a source is asked alone before the next is asked
	// too.
	headStart = 800 * time.Millisecond
	// precedence is how long the answer of a later source waits for those
	// named before it.
	precedence = 5 * time.Second
	// waitingAfter is how long no source answers until that is reported, and
	// stalledAfter until the reasons are.
	waitingAfter = 2 * time.Second
	stalledAfter = 10 * time.Second
)

// Fetch returns a manifest or an index, and its descriptor: the digest and the
// size of the bytes, and the Content-Type of the answer.
//
// If want.Digest is "", Fetch requests ref's tag from the sources that are trusted
// for tags and that [Set.Reject] has not excluded, and uses the answer of the
// source that was named first. It asks a source when the one before it has failed
// or has been silent for 0.8 s, so that a dead source costs little time. Up to 5 s
// after the first request, an answer waits for the sources that were named before
// its own; after that, Fetch uses the answer of the first-named source that has
// answered, or else the first that arrives. If an answer waited for a source until
// the 5 s were over, then for 10 minutes, or until it answers a request for a tag, the
// source after it is asked at the same time, and answers wait for it for 0.8 s.
//
// Otherwise Fetch requests the digest from all sources in the same way, first from
// the one that resolved the tag, and uses the first answer. Its bytes have
// want.Digest, and want.Size if that is above 0. A source in whose place another
// one has answered is asked at the same time as the next until it answers.
//
// Fetch reads at most image.MaxManifestSize. Each source has 30 s, or until
// GiveUpAfter has passed since Fetch asked the last one.
//
// If no source serves the manifest, the error is a *[FetchError]; if no source is
// trusted for tags, a *[UsageError]; otherwise the cause of ctx.
func (s *Set) Fetch(ctx context.Context, ref image.Reference, want ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	if want.Digest == "" {
		return s.byTag(ctx, ref)
	}
	r := s.race(ref, s.resolverFirst(ref), 0, func(ctx context.Context, source *Source) answer {
		a := source.manifest(ctx, ref.Repository, want.Digest.String())
		if a.err == nil && (a.descriptor.Digest != want.Digest || want.Size > 0 && a.descriptor.Size != want.Size) {
			a.err = &mismatchError{source.Name(), want, a.descriptor}
		}
		return a
	})
	r.unanswered = s.noteSilentForDigest
	a, err := r.run(ctx)
	return a.descriptor, a.body, s.blame(ref, err)
}

func (s *Set) byTag(ctx context.Context, ref image.Reference) (ocispec.Descriptor, []byte, error) {
	a, err := s.raceForTag(ctx, ref, func(ctx context.Context, source *Source) answer {
		return source.manifest(ctx, ref.Repository, ref.Tag)
	})
	return a.descriptor, a.body, err
}

// Claim returns the digest of ref's tag, and the name of the source that gave it. It
// asks as Fetch does, by HEAD, which Docker Hub does not count. The digest is "" if that
// source gives none. The errors are those of Fetch.
func (s *Set) Claim(ctx context.Context, ref image.Reference) (claimed digest.Digest, source string, err error) {
	a, err := s.raceForTag(ctx, ref, func(ctx context.Context, source *Source) answer {
		d, err := source.client.Claim(ctx, source.repository(ref.Repository), ref.Tag)
		if err != nil {
			err = source.explain(err)
		}
		return answer{source: source, descriptor: ocispec.Descriptor{Digest: d}, err: err}
	})
	if err != nil {
		return "", "", err
	}
	return a.descriptor.Digest, a.source.Name(), nil
}

// raceForTag asks the sources that are trusted for tags.
func (s *Set) raceForTag(ctx context.Context, ref image.Reference, ask func(context.Context, *Source) answer) (answer, error) {
	if len(s.trusted()) == 0 {
		return answer{}, &UsageError{ref.Registry, []error{&MirrorError{
			s.sources[0].Name(), "not trusted for tags, nor is any other",
			"name the image by digest, or add --mirror " + ref.Registry,
		}}}
	}
	r := s.race(ref, s.askable(s.tags.of(ref)), precedence, ask)
	r.unanswered = s.noteSilentForTag
	a, err := r.run(ctx)
	if err == nil {
		s.tags.change(ref, func(state *tagState) { state.resolver = a.source })
	}
	return a, err
}

// resolverFirst returns the sources, led by the one that resolved ref's tag:
// it certainly has the manifest.
func (s *Set) resolverFirst(ref image.Reference) []*Source {
	first := s.tags.of(ref).resolver
	if first == nil {
		return s.sources
	}
	rest := slices.DeleteFunc(slices.Clone(s.sources), func(source *Source) bool { return source == first })
	return append([]*Source{first}, rest...)
}

// blame adds to the error of a digest the source that resolved its tag.
func (s *Set) blame(ref image.Reference, err error) error {
	if e, ok := err.(*FetchError); ok {
		e.resolver = s.tags.of(ref).resolver
	}
	return err
}

// answer is the answer of one source.
type answer struct {
	source     *Source
	descriptor ocispec.Descriptor
	body       []byte
	err        error
}

func (s *Source) manifest(ctx context.Context, repository, reference string) answer {
	d, body, err := s.client.Manifest(ctx, s.repository(repository), reference)
	if err != nil {
		err = s.explain(err)
	}
	return answer{s, d, body, err}
}

// race asks sources one after the other, each with a head start, and takes the
// first-named answer. Answers wait for sources named earlier until precedence
// has passed since the start; for those known to be silent, as long as a head start.
type race struct {
	set         *Set // whose callbacks are called
	ref         image.Reference
	sources     []*Source
	precedence  time.Duration
	giveUpAfter time.Duration // since the last source was asked; 0: never
	ask         func(context.Context, *Source) answer

	// unanswered is called with each source that has not answered, although the race has
	// waited for it; nil: nothing
	unanswered func(*Source)
}

func (s *Set) race(ref image.Reference, sources []*Source, precedence time.Duration, ask func(context.Context, *Source) answer) race {
	return race{set: s, ref: ref, sources: sources, precedence: precedence, giveUpAfter: s.GiveUpAfter, ask: ask}
}

// forTag reports whether the sources are asked for a tag, so that the order of their names
// counts.
func (r race) forTag() bool { return r.precedence > 0 }

func (r race) run(ctx context.Context) (answer, error) {
	var asking sync.WaitGroup
	defer asking.Wait()
	asked, cancel := context.WithCancel(ctx)
	defer cancel() // the losers

	type numbered struct {
		i int
		answer
	}
	answers := make(chan numbered, len(r.sources))
	got := make([]*answer, len(r.sources))
	began, started, turns := time.Now(), 0, r.turns()
	next, over, long, stalled := time.After(0), time.After(r.precedence), time.After(waitingAfter), time.After(stalledAfter)
	var tooLong <-chan time.Time
	used := make(chan struct{}, len(r.sources)) // head starts
	for {
		select {
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		case <-used:
		case <-over:
		case <-long:
			r.set.Waiting(r.ref, r.silent(got[:started]))
		case <-stalled:
			r.set.Stalled(r.ref, stalledAfter, r.reasons(got[:started], stalledAfter))
		case <-tooLong:
			r.giveUp(got)
		case <-next:
			i := started
			r.reportSilence(got[:i], turns)
			asking.Go(func() { answers <- numbered{i, r.ask(asked, r.sources[i])} })
			turns[i].asked = time.Since(began)
			time.AfterFunc(headStart, func() { used <- struct{}{} })
			if started++; started < len(r.sources) {
				next = time.After(turns[i].alone())
			} else if r.giveUpAfter > 0 {
				tooLong = time.After(r.giveUpAfter)
			}
		case a := <-answers:
			got[a.i], turns[a.i].answered = &a.answer, time.Since(began)
			r.learn(r.sources[a.i], a.err)
			if a.err != nil && a.i == started-1 && started < len(r.sources) {
				next = time.After(0)
			}
		}
		elapsed := time.Since(began)
		if i := r.first(got, turns, elapsed); i >= 0 {
			r.noteSilence(got, turns, i, elapsed)
			return *got[i], nil
		}
		if !slices.Contains(got, nil) && ctx.Err() == nil {
			return answer{}, newFetchError(got)
		}
	}
}

// learn notes the answer of a source, and reports an error.
func (r race) learn(source *Source, err error) {
	if err == nil || definite(err) {
		source.answered(r.forTag())
	}
	if err != nil {
		r.set.Trouble(source.Name(), err)
	}
}

// reportSilence reports the source that was asked last, if its head start is over.
func (r race) reportSilence(got []*answer, turns []turn) {
	if last := len(got) - 1; last >= 0 && got[last] == nil && !turns[last].silent {
		r.set.Trouble(r.sources[last].Name(), r.silence(headStart))
	}
}

// silence is the error of a source that has not answered for so long.
func (r race) silence(d time.Duration) error {
	if helper := r.set.logins.waiting(); helper != "" {
		return silentHelper(helper)
	}
	return fmt.Errorf("no answer within %v", d)
}

// reasons says why each source has not answered so far, or what its answer lacked.
func (r race) reasons(got []*answer, d time.Duration) (reasons []error) {
	for i, a := range got {
		switch {
		case a == nil:
			reasons = append(reasons, fmt.Errorf("%s: %w", r.sources[i].Name(), r.silence(d)))
		case a.err != nil:
			reasons = append(reasons, a.err)
		}
	}
	return reasons
}

// silent names what has not answered: the sources, or the credential
// helper that they wait for.
func (r race) silent(got []*answer) (names []string) {
	if helper := r.set.logins.waiting(); helper != "" {
		return []string{helper}
	}
	for i, a := range got {
		if a == nil {
			names = append(names, r.sources[i].Name())
		}
	}
	return names
}

// giveUp counts each source that has not answered as failed.
func (r race) giveUp(got []*answer) {
	for i, a := range got {
		if a == nil {
			source := r.sources[i]
			got[i] = &answer{source: source, err: fmt.Errorf("%s: %w", source.Name(), r.silence(r.giveUpAfter))}
		}
	}
}

// first returns the index of the first good answer that does not have to wait, or -1.
func (r race) first(got []*answer, turns []turn, elapsed time.Duration) int {
	for i, a := range got {
		if a == nil && elapsed < r.waitsFor(turns[i]) {
			return -1
		}
		if a != nil && a.err == nil {
			return i
		}
	}
	return -1
}
