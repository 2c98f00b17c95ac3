package front

import (
	"os"
	"sync"
	"syscall"
)

// A poller tells which connections have something to read. It is an epoll
// instance of our own: the poller of the runtime only ever wakes a goroutine,
// and one that is parked for each connection is most of the memory of an idle
// one. The goroutine of run waits with the runtime's for the instance itself.
//
// Connections are reported at the edge: once for all that has arrived, and
// again when more does.
type poller struct {
	file *os.File
	raw  syscall.RawConn

	mu    sync.Mutex
	conns []*Conn // by descriptor
}

// edge is EPOLLET, which package syscall has as a negative number.
const edge = 1 << 31

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only what does not block is watched by the runtime.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &poller{file: file, raw: raw}, nil
}

// add watches c from here on. What has arrived before is reported as well.
func (p *poller) add(c *Conn) error {
	p.mu.Lock()
	for len(p.conns) <= c.fd {
		p.conns = append(p.conns, nil)
	}
	p.conns[c.fd] = c
	p.mu.Unlock()
	err := p.control(func(fd int) error {
		return syscall.EpollCtl(fd, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{
			Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | edge, Fd: int32(c.fd),
		})
	})
	if err != nil {
		p.remove(c)
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// remove forgets c, whose descriptor is about to be closed; with that the
// kernel forgets it, too.
func (p *poller) remove(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c.fd] = nil
}

func (p *poller) control(f func(fd int) error) error {
	var err error
	if closed := p.raw.Control(func(fd uintptr) { err = f(int(fd)) }); closed != nil {
		return closed
	}
	return err
}

// run tells ready of the connections that have something to read, until close.
// The slice is used again.
func (p *poller) run(ready func([]*Conn)) {
	var (
		events [128]syscall.EpollEvent
		conns  [128]*Conn
		n      int
	)
	wait := func(fd uintptr) bool {
		err := error(syscall.EINTR)
		for err == syscall.EINTR {
			n, err = syscall.EpollWait(int(fd), events[:], 0)
		}
		return n > 0
	}
	for p.raw.Read(wait) == nil {
		found := conns[:0]
		p.mu.Lock()
		for i := range events[:n] {
			e := &events[i]
			// None: it was closed since, and another with the number will
			// be reported by itself.
			if c := p.conns[e.Fd]; c != nil {
				if e.Events&^syscall.EPOLLIN != 0 {
					c.hungUp.Store(true)
				}
				found = append(found, c)
			}
		}
		p.mu.Unlock()
		ready(found)
		clear(found)
	}
}

func (p *poller) close() { p.file.Close() }
