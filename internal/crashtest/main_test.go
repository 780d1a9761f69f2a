package crashtest

import (
	"testing"

	"github.com/segpull/segpull/internal/pulltest"
)

func TestMain(m *testing.M) { pulltest.Main(m) }

const (
	kib = 1 << 10
	mib = 1 << 20

	repo = pulltest.Repo
	ref  = pulltest.Ref

	// slack is the most bytes that second requests and aborted requests may cost, even
	// for a small image.
	slack = mib
)
