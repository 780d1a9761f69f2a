//go:build !race

package testmain

import "math"

const mostAtOnce = math.MaxInt
