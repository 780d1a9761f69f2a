// Package testmain has what the TestMain functions of several packages share.
package testmain

import (
	"flag"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package whose tests mostly wait: ten of those that call t.Parallel run at the same time, see
// AtOnce. Main fails if a goroutine is left.
func Main(m *testing.M, options ...goleak.Option) {
	AtOnce(10)
	goleak.VerifyTestMain(m, options...)
}

// AtOnce lets n tests run at the same time, unless an earlier call or the flag -parallel says how many. The default is one
// for each processor, which is few for tests that mostly wait. With the race detector, tests need the processors more: then at
// most ten run. Call AtOnce before m.Run.
func AtOnce(n int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(min(n, mostAtOnce)))
	}
}
