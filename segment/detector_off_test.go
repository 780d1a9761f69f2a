//go:build !race

package segment

import "testing"

func simulates(*testing.T) {}
