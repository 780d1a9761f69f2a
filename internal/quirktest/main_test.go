// Package quirktest tests pulls from registries, stores and proxies as they
// are, each simulated by a fault of registrytest.
package quirktest

import (
	"testing"

	"github.com/segpull/segpull/internal/pulltest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

func TestMain(m *testing.M) { pulltest.Main(m) }
