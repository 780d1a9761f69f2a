package class

import (
	"errors"
	"fmt"
	"testing"

	"github.com/segpull/segpull/image"
	"github.com/segpull/segpull/segment"
	"github.com/segpull/segpull/sources"
	"github.com/segpull/segpull/verify"
)

// failure is an error of one source.
type failure struct{ refused, missing, mismatch, permanent, usage bool }

func (failure) Error() string     { return "no" }
func (f failure) Refused() bool   { return f.refused }
func (f failure) Missing() bool   { return f.missing }
func (f failure) Mismatch() bool  { return f.mismatch }
func (f failure) Permanent() bool { return f.permanent }
func (f failure) Usage() bool     { return f.usage }

func TestOf(t *testing.T) {
	hopeless := func(reasons ...error) error { return &segment.HopelessError{Reasons: reasons} }
	refused, missing, mismatch, permanent := failure{refused: true}, failure{missing: true}, failure{mismatch: true}, failure{permanent: true}
	for _, test := range []struct {
		err  error
		want error
	}{
		{errors.New("the disk"), nil},
		{Mark(errors.New("said before"), ErrCredentials), ErrCredentials},
		{failure{usage: true}, ErrUsage},
		{&sources.UsageError{}, ErrUsage},
		{&verify.MismatchError{}, ErrMismatch},
		{&image.PlatformError{}, ErrNotFound},
		{&segment.GiveUpError{}, ErrNetwork},
		{mismatch, ErrMismatch},
		{permanent, ErrPermanent},
		{hopeless(), ErrNetwork},
		{hopeless(errors.New("reset"), refused, missing), ErrNetwork}, // that may pass
		{hopeless(missing, missing), ErrNotFound},
		{hopeless(missing, refused), ErrCredentials},
		{hopeless(permanent, refused), ErrCredentials},
		{hopeless(permanent, mismatch), ErrMismatch},
		{hopeless(missing, permanent), ErrPermanent},
	} {
		if got := Of(fmt.Errorf("image: %w", test.err)); got != test.want {
			t.Errorf("%#v: %v, not %v", test.err, got, test.want)
		}
		if got := MarkKnown(test.err); test.want != nil && !errors.Is(got, test.want) {
			t.Errorf("%#v: errors.Is does not find %v", test.err, test.want)
		}
	}
}
