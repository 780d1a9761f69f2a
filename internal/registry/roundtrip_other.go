//go:build !linux

package registry

import (
	"net"
	"time"
)

// roundTrip is not measured by the kernel here.
func roundTrip(net.Conn) time.Duration { return 0 }
