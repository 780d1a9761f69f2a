package weaknet

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a network namespace with an address. It lives on a thread of its
// own, which entered the namespace and never leaves it.
type Host struct {
	address  netip.Addr
	device   *os.File
	received traffic
	calls    chan func()
}

func newHost(address netip.Addr) (*Host, error) {
	h := &Host{address: address, calls: make(chan func())}
	started := make(chan error)
	go h.live(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return h, nil
}

// live never unlocks its thread, so the runtime ends the thread with it, and
// the kernel the namespace.
func (h *Host) live(started chan<- error) {
	runtime.LockOSThread()
	err := h.enter()
	started <- err
	if err != nil {
		return
	}
	for call := range h.calls {
		call()
	}
}

func (h *Host) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a new network namespace (are you root?): %w", err)
	}
	// What a server has handed to the kernel counts as served: keep little
	// there that is not on its way.
	const unsent = "/proc/sys/net/ipv4/tcp_notsent_lowat"
	if err := os.WriteFile(unsent, []byte("16384"), 0o644); err != nil {
		return err
	}
	device, name, err := openTUN()
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	if err := configure(name, h.address); err != nil {
		return errors.Join(err, device.Close())
	}
	h.device = device
	return nil
}

// do calls f on the host's thread.
func (h *Host) do(f func() error) error {
	result := make(chan error)
	h.calls <- func() { result <- f() }
	return <-result
}

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return h.address }

// Listen announces on a TCP port of the host; 0 chooses one.
func (h *Host) Listen(port uint16) (listener net.Listener, err error) {
	err = h.do(func() error {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(h.address, port).String())
		return err
	})
	return listener, err
}

// Dial connects to an address from the host.
func (h *Host) Dial(address string) (conn net.Conn, err error) {
	err = h.do(func() error {
		conn, err = net.DialTimeout("tcp4", address, 10*time.Second)
		return err
	})
	return conn, err
}

// Received is what the link has delivered to the host so far.
func (h *Host) Received() Traffic { return h.received.read() }

// Start starts a process on the host. It is killed when the network is closed.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // when the host's thread ends
	return h.do(cmd.Start)
}

func (h *Host) close() error {
	close(h.calls)
	return h.device.Close()
}

func openTUN() (device *os.File, name string, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	request, err := unix.NewIfreq("tun0")
	if err != nil {
		return nil, "", errors.Join(err, unix.Close(fd))
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, "", errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "tun"), request.Name(), nil
}

// configure gives the device its address and brings it and loopback up. The
// congestion control belongs to the route: the namespace's own setting takes
// only what the whole machine allows.
func configure(device string, address netip.Addr) error {
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(fmt.Sprintf(`link set lo up
address add %[1]s/%[2]d dev %[3]s
link set %[3]s up
route replace %[4]s dev %[3]s src %[1]s congctl cubic
`, address, subnet.Bits(), device, subnet))
	if out, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("ip (of iproute2): %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
