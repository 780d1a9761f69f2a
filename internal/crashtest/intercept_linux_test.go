package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/pulltest"
)

// A pull in a separate process of this test's binary. The test counts its system calls
// that read or change files: by seccomp, the kernel asks the test before each call
// (seccomp_unotify(2)). So the test can make one of them fail, or kill the process before
// it.

// fileCalls are the calls that the test counts. write(2) is not one of them: the runtime
// calls it to wake itself, with locks that others must not wait for.
var fileCalls = []uint32{
	unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_COPY_FILE_RANGE, unix.SYS_FTRUNCATE, unix.SYS_FSYNC,
	unix.SYS_OPENAT, unix.SYS_MKDIRAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT,
}

// watched describes such a pull, and what the test does to it.
type watched struct {
	Mirrors        []string
	Output, Format string
	Cache          string

	kill      int           // kill it before this call, from 1; 0: do not
	killAtEnd bool          // kill it when all is verified
	fail      int           // make this call fail, from 1; 0: none
	with      syscall.Errno // the error of the call that fails
}

// report has the number of calls at each moment that the pull reached, or 0.
type report struct {
	resolved, verified, ended int
	err                       string
}

// The process marks these moments by reads at these offsets of an invalid descriptor, so
// that the test sees them in order among the other calls.
const (
	atResolved = 1 + iota
	atVerified
	atEnd
)

func tell(moment int64) { _, _ = unix.Pread(-1, nil, moment) }

const watchedVariable = "SEGPULL_TEST_WATCHED"

func init() {
	if text := os.Getenv(watchedVariable); text != "" {
		var w watched
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			panic(err)
		}
		w.pull()
		os.Exit(0)
	}
}

// pull runs in the process. It prints the descriptor for the questions of the kernel, and
// the error of the pull.
func (w watched) pull() {
	listener, err := intercept()
	fmt.Println(listener)
	if err == nil {
		_, err = segpull.Pull(context.Background(), segpull.Options{
			Mirrors: w.Mirrors, Output: w.Output, Format: w.Format, CacheDir: w.Cache, Platform: "linux/amd64", Connections: 1, Observer: w,
			Limits: segpull.NewLimits(16 << 20), // it makes receive buffers small: a kill loses what is in them
		}, ref)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	tell(atEnd)
}

func (w watched) Observe(e segpull.Event) {
	switch e := e.(type) {
	case segpull.Resolved:
		tell(atResolved)
	case segpull.Progress:
		for _, b := range e.Blobs {
			if b.Verified < b.Size {
				return
			}
		}
		tell(atVerified)
	}
}

// intercept makes the kernel ask before each of the fileCalls of this process.
func intercept() (listener uintptr, err error) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the call
	for i, call := range fileCalls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(fileCalls) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | // of all threads
		unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, errno
	}
	return listener, nil
}

// start runs the pull in a separate process, and waits until that has ended.
func (w watched) start(t *testing.T) (r report) {
	t.Helper()
	text, err := json.Marshal(w)
	pulltest.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	// With the race detector, each process would sleep for a second at its end.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", watchedVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	pulltest.Must(t, err)
	pulltest.Must(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	var descriptor int
	if _, err := fmt.Fscanln(lines, &descriptor); err != nil {
		t.Fatal(err)
	}
	listener, err := descriptorOf(cmd.Process.Pid, descriptor)
	pulltest.Must(t, err)
	w.watch(listener, cmd.Process, &r)
	pulltest.Must(t, unix.Close(listener))
	said, _ := io.ReadAll(lines)
	r.err = strings.TrimSpace(string(said))
	_ = cmd.Wait() // it may have been killed
	if killed := w.kill > 0 || w.killAtEnd; r.ended == 0 && r.err == "" && !killed || ctx.Err() != nil {
		t.Fatalf("the pull ended with %v after %+v", cmd.ProcessState, r)
	}
	return r
}

// descriptorOf returns a copy of a descriptor of another process.
func descriptorOf(pid, descriptor int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(process)
	return unix.PidfdGetfd(process, descriptor, 0)
}

// watch answers the kernel until the process has ended.
func (w watched) watch(listener int, process *os.Process, r *report) {
	for calls := 0; ; {
		asked := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(asked, -1); err == nil && asked[0].Revents&unix.POLLIN == 0 {
			return // all processes have ended
		}
		var q question
		if ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q)) != 0 {
			continue // the process has ended
		}
		a := answer{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if moment := q.arguments[3]; uint32(q.call) == unix.SYS_PREAD64 && int32(q.arguments[0]) < 0 {
			*map[uint64]*int{atResolved: &r.resolved, atVerified: &r.verified, atEnd: &r.ended}[moment] = calls
			if w.killAtEnd && moment == atVerified {
				_ = process.Kill()
				continue
			}
		} else if calls++; calls == w.kill {
			_ = process.Kill()
			continue
		} else if calls == w.fail {
			a.errno, a.flags = -int32(w.with), 0
		}
		_ = ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
	}
}

// question is a struct seccomp_notif, answer a struct seccomp_notif_resp.
type (
	question struct {
		id         uint64
		pid, flags uint32
		call       int32
		arch       uint32
		at         uint64
		arguments  [6]uint64
	}
	answer struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// ioctl repeats the call after a signal of the runtime has interrupted it.
func ioctl(fd int, request uintptr, argument unsafe.Pointer) syscall.Errno {
	for {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != unix.EINTR {
			return errno
		}
	}
}
