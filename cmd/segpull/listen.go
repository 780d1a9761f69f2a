package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/segpull/segpull/internal/access"
	"github.com/segpull/segpull/sources"
)

// listeners are the sockets of a server.
type listeners struct {
	images  []net.Listener
	metrics net.Listener // nil: none
	hosts   []string     // names in the addresses

	guard       *access.Guard
	connections *access.Connections
}

// admit lets in only the clients that guard and config allow.
func (l *listeners) admit(guard *access.Guard, config sources.Serve, log *slog.Logger) {
	l.guard = guard
	l.connections = &access.Connections{
		Networks: config.Allow, Most: config.MaxConnections, MostPerClient: config.MaxConnectionsPerClient, Log: log,
	}
	for i, at := range l.images {
		l.images[i] = l.connections.Listen(at)
		if config := guard.TLS(); config != nil {
			l.images[i] = tls.NewListener(l.images[i], config)
		}
	}
}

// firstInherited is the first descriptor that systemd passes (sd_listen_fds(3)).
const firstInherited = 3

// open opens the sockets, or takes those that systemd has opened, and then opens only those
// of --listen. One of systemd's that is called metrics (FileDescriptorName=) is for metrics.
func (own *serveFlags) open(ctx context.Context, log *slog.Logger) (l *listeners, err error) {
	l = &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if err := l.inherit(log); err != nil {
		return l, err
	}
	addresses := own.addresses()
	if len(l.images) > 0 {
		addresses = own.listen
	}
	for _, address := range addresses {
		at, err := l.listen(ctx, "--listen", address)
		if err != nil {
			return l, err
		}
		l.images = append(l.images, at)
	}
	if own.metrics != "" {
		l.metrics, err = l.listen(ctx, "--metrics", own.metrics)
	}
	return l, err
}

// inherit takes the sockets that systemd has opened for this process.
func (l *listeners) inherit(log *slog.Logger) error {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		f := os.NewFile(uintptr(firstInherited+i), "socket")
		at, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("socket %d of systemd: %w", i+1, err)
		}
		if i < len(names) && names[i] == "metrics" && l.metrics == nil {
			l.metrics = at
			continue
		}
		l.images = append(l.images, at)
		log.Info("systemd has opened the socket", "address", at.Addr().String())
	}
	return nil
}

// listen opens a socket. flag is where the address comes from.
func (l *listeners) listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("%s %s: write host:port, or unix:PATH%s", flag, address, seeServeHelp)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		l.hosts = append(l.hosts, host)
	}
	at, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; use another address with %s", address, errors.Unwrap(err), flag)
	}
	return at, nil
}

// listenUnix replaces the socket that a killed process has left.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" {
		return nil, usagef("--listen unix: needs a path after the colon%s", seeServeHelp)
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another process listens on %s: end it, or use another path with --listen", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	at, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return at, os.Chmod(path, 0o600) // for this user alone
}

func (l *listeners) close() {
	for _, at := range l.images {
		at.Close()
	}
	if l.metrics != nil {
		l.metrics.Close()
	}
}

// public returns an address that other machines may reach, or "".
func (l *listeners) public() string {
	for _, at := range l.images {
		if tcp, ok := at.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			return at.Addr().String()
		}
	}
	return ""
}

// names returns the names of this machine in the addresses and, if other machines may
// reach it, its own name.
func (l *listeners) names() []string {
	names := l.hosts
	if own, err := os.Hostname(); err == nil && l.public() != "" {
		names = append(names, own)
	}
	return names
}

// addresses returns host:port of each socket that has them.
func (l *listeners) addresses() (all []string) {
	for _, at := range l.images {
		if at.Addr().Network() == "tcp" {
			all = append(all, at.Addr().String())
		}
	}
	return all
}

// address is how messages call a socket.
func (l *listeners) address(at net.Listener) string {
	if at.Addr().Network() == "unix" {
		return "unix:" + at.Addr().String()
	}
	return scheme(l.guard) + "://" + at.Addr().String()
}

func scheme(guard *access.Guard) string {
	if guard.TLS() != nil {
		return "https"
	}
	return "http"
}

// notify tells systemd about the state of the server (sd_notify(3)), if it waits for that.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // systemd reports that it was not notified
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
