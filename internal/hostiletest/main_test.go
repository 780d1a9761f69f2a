package hostiletest

import (
	"testing"

	"github.com/segpull/segpull/internal/pulltest"
	"github.com/segpull/segpull/internal/testmain"
)

// TestMain runs more tests at the same time than others: most wait until segpull gives up a mirror.
func TestMain(m *testing.M) {
	testmain.AtOnce(24)
	pulltest.Main(m)
}

const (
	kib = 1 << 10
	mib = 1 << 20

	repo = pulltest.Repo
	ref  = pulltest.Ref

	// slack is the most bytes that second requests and aborted requests may cost, even
	// for a small image.
	slack = mib
)
