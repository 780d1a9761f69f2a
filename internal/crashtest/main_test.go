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

	// slack is what hedges and requests that are broken off may cost a pull,
	// however small its image is.
	slack = mib
)
