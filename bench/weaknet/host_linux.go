package weaknet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host is a network namespace with an address. It lives on a thread of its
// own, which entered the namespace and never leaves it.
type Host struct {
	address netip.Addr
	device  *os.File
	calls   chan func()
}

// settings hold in every namespace.
var settings = map[string]string{
	"tcp_congestion_control": "cubic",
	// What a server has handed to the kernel counts as served: keep little
	// there that is not on its way.
	"tcp_notsent_lowat": "16384",
}

func newHost(address netip.Addr) (*Host, *os.File, error) {
	h := &Host{address: address, calls: make(chan func())}
	started := make(chan error)
	go h.live(started)
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return h, h.device, nil
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
	for name, value := range settings {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return err
		}
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

// configure gives the device its address and brings it and loopback up.
func configure(device string, address netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	mask := net.CIDRMask(subnet.Bits(), 32)
	return errors.Join(
		setAddress(fd, device, unix.SIOCSIFADDR, address.AsSlice()),
		setAddress(fd, device, unix.SIOCSIFNETMASK, mask),
		bringUp(fd, device),
		bringUp(fd, "lo"),
	)
}

func setAddress(fd int, device string, what uint, address []byte) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr(address); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, what, request)
}

func bringUp(fd int, device string) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
