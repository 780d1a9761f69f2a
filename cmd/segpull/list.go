package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/imagelist"
)

// batch is the images of one run: those of the command line, then those of the lists.
type batch struct {
	lists   bool
	images  []wanted
	invalid []failure
}

// wanted is an image to pull.
type wanted struct {
	position  int // in the command line and the lists
	reference string
	platform  string // "" is that of --platform
	place     string // FILE:LINE; "" is the command line
}

// failure is an image that was not pulled.
type failure struct {
	position int // in the command line and the lists
	name     string
	place    string
	err      error
}

// images reads the lists of --input.
func (a *app) images(ctx context.Context, refs []string) (batch, error) {
	b := batch{lists: len(a.inputs) > 0}
	listed, err := imagelist.Read(ctx, refs, a.inputs, os.Stdin)
	switch {
	case ctx.Err() != nil:
		return b, context.Cause(ctx)
	case err != nil:
		return b, usagef("%v", err)
	}
	for i, ref := range refs {
		b.images = append(b.images, wanted{position: i, reference: ref})
	}
	for i, image := range listed {
		position := len(refs) + i
		if image.Err != nil {
			b.invalid = append(b.invalid, failure{position, image.Reference, image.Place, usagef("%v", image.Err)})
			continue
		}
		if a.all && slices.ContainsFunc(b.images, func(w wanted) bool { return w.reference == image.Reference }) {
			continue // for another platform
		}
		b.images = append(b.images, wanted{position, image.Reference, image.Platform, image.Place})
	}
	return b, nil
}

func (b *batch) references() (refs []string) {
	for _, image := range b.images {
		refs = append(refs, image.reference)
	}
	return refs
}

// pull pulls the images. Those of lists do not stop each other, and the error is then
// a *batchError.
func (b *batch) pull(ctx context.Context, opts segpull.Options) error {
	opts.Batch = b.lists
	for _, image := range b.images {
		if !opts.AllPlatforms {
			opts.Platforms = append(opts.Platforms, image.platform)
		}
	}
	for _, f := range b.invalid {
		opts.Observer.Observe(segpull.Failed{Reference: f.name, Message: f.err.Error(), Class: segpull.ErrUsage.Error()})
	}
	if len(b.images) == 0 {
		return &batchError{len(b.invalid), b.invalid}
	}
	_, err := segpull.Pull(ctx, opts, b.references()...)
	several, ok := errors.AsType[*segpull.BatchError](err)
	if err != nil && !ok {
		return err
	}
	failed := slices.Clone(b.invalid)
	if ok {
		for _, f := range several.Failed {
			failed = append(failed, failure{b.images[f.Index].position, f.Reference, b.images[f.Index].place, f.Err})
		}
	}
	if len(failed) == 0 {
		return nil
	}
	slices.SortFunc(failed, func(a, b failure) int { return a.position - b.position })
	return &batchError{len(b.images) + len(b.invalid), failed}
}

// batchError names the images that failed. Why each did, was printed before.
type batchError struct {
	images int
	failed []failure // at least one, in the order of the lists
}

// mostNamed is how many images the error names.
const mostNamed = 20

func (e *batchError) Error() string {
	var names []string
	for _, f := range e.failed[:min(len(e.failed), mostNamed)] {
		if f.place != "" {
			f.name += " (" + f.place + ")"
		}
		names = append(names, f.name)
	}
	if more := len(e.failed) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	format := "%d of %d images failed: %s"
	if e.images == 1 {
		format = "%d of %d image failed: %s"
	}
	return fmt.Sprintf(format, len(e.failed), e.images, strings.Join(names, ", "))
}

// Unwrap returns the first failure, whose class decides the exit code.
func (e *batchError) Unwrap() error { return e.failed[0].err }
