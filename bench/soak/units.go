package soak

import "fmt"

const (
	kib = 1 << 10
	mib = 1 << 20
)

// inMiB formats a number of bytes.
func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/mib) }
