package main

import (
	"errors"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"demo", "extra"}, {"cases", "nowhere"}, {"cases", "-nonsense"}, {"stat"}} {
		var usage usageError
		if err := run(t.Context(), args); !errors.As(err, &usage) || exitCode(err) != 2 {
			t.Errorf("bench %q: %v, want a mistake in usage", args, err)
		}
	}
}
