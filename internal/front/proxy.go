package front

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// Bounds of what a balancer says ahead of a client, in version 1 or 2 of the
// PROXY protocol of HAProxy.
const (
	// headerTime is how long its header may take. It has all of it before the
	// client has said anything.
	headerTime = 5 * time.Second
	// headerLine is the longest header of version 1, by its specification;
	// headerBytes bounds one of version 2, most of which is extensions.
	headerLine  = 107
	headerBytes = 4 << 10
)

// signature begins a header of version 2; none of version 1 is shorter.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// parseNetworks reads the list of Config.ProxyFrom.
func parseNetworks(list string) (networks []netip.Prefix, err error) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		p, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is no network, such as 10.0.0.0/8", entry)
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// A proxied listener returns connections of balancers once their header has been
// read, under the addresses that it names, and all others as they are. Only while
// its header is missing does a connection have a goroutine. Behind Accept it is
// one like any other, for the header was read to its last byte and no further.
type proxied struct {
	net.Listener
	from    []netip.Prefix // where the balancers are
	refused func(nc net.Conn)

	ctx     context.Context // ends with Close
	end     context.CancelFunc
	next    chan accepted
	reading chan struct{} // has an element for each header that is waited for
	work    sync.WaitGroup
}

type accepted struct {
	nc  net.Conn
	err error
}

// readHeaders begins to accept connections of ln. It waits for so many headers at
// a time; further connections stay in the queue of the kernel. refused is told of
// those whose header is missing or wrong, ahead of their end.
func readHeaders(ln net.Listener, from []netip.Prefix, atOnce int, refused func(net.Conn)) *proxied {
	p := &proxied{
		Listener: ln, from: from, refused: refused,
		next: make(chan accepted), reading: make(chan struct{}, atOnce),
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p
}

// Accept implements net.Listener.
func (p *proxied) Accept() (net.Conn, error) {
	select {
	case a := <-p.next:
		return a.nc, a.err
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends the connections whose header is missing.
func (p *proxied) Close() error {
	p.end()
	err := p.Listener.Close()
	p.work.Wait()
	return err
}

func (p *proxied) accept() {
	for {
		nc, err := p.Listener.Accept()
		if err != nil {
			// Whoever is given it waits before the next Accept, and so does this.
			p.hand(accepted{err: err})
			if p.ctx.Err() != nil || !temporary(err) {
				return
			}
			continue
		}
		tcp, ok := nc.(*net.TCPConn)
		remote := addrPort(nc.RemoteAddr()).Addr()
		if !ok || !slices.ContainsFunc(p.from, func(n netip.Prefix) bool { return n.Contains(remote) }) {
			p.hand(accepted{nc: nc})
			continue
		}
		select {
		case p.reading <- struct{}{}:
		case <-p.ctx.Done():
			nc.Close()
			return
		}
		p.work.Go(func() {
			defer func() { <-p.reading }()
			p.introduce(tcp)
		})
	}
}

// hand gives a connection to Accept.
func (p *proxied) hand(a accepted) {
	select {
	case p.next <- a:
	case <-p.ctx.Done():
		if a.nc != nil {
			a.nc.Close()
		}
	}
}

// introduce hands a connection on once its header has been read.
func (p *proxied) introduce(tcp *net.TCPConn) {
	tcp.SetReadDeadline(time.Now().Add(headerTime))
	stop := context.AfterFunc(p.ctx, func() { tcp.SetReadDeadline(longPast) })
	header, err := readHeader(tcp)
	if !stop() || err != nil {
		// Balancers look by an empty connection whether there is somebody.
		if p.ctx.Err() == nil && err != io.EOF {
			p.refused(tcp)
		}
		tcp.Close()
		return
	}
	tcp.SetReadDeadline(time.Time{})
	nc := &proxiedConn{TCPConn: tcp, remote: tcp.RemoteAddr(), local: tcp.LocalAddr()}
	// What a balancer says of itself has no other addresses.
	if source, destination, ok := header.TCPAddrs(); ok && header.Command.IsProxy() {
		nc.remote, nc.local = source, destination
	}
	p.hand(accepted{nc: nc})
}

// readHeader reads a header and nothing behind it. The error is io.EOF if there
// was not a single byte.
func readHeader(r io.Reader) (*proxyproto.Header, error) {
	var b []byte
	more := func(n int) error {
		begun := len(b) > 0
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[len(b)-n:])
		if err == io.EOF && begun {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := more(len(signature)); err != nil {
		return nil, err
	}
	if string(b) == signature {
		// A version, a family, and the length of the rest.
		if err := more(4); err != nil {
			return nil, err
		}
		rest := int(binary.BigEndian.Uint16(b[len(b)-2:]))
		if rest > headerBytes {
			return nil, fmt.Errorf("the header has %d bytes", rest)
		}
		if err := more(rest); err != nil {
			return nil, err
		}
	} else {
		// A line, of which nobody knows how much is left.
		for b[len(b)-1] != '\n' {
			if len(b) == headerLine {
				return nil, errors.New("the header is no line")
			}
			if err := more(1); err != nil {
				return nil, err
			}
		}
	}
	return proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
}

// proxiedConn is a connection under the addresses that its balancer named.
type proxiedConn struct {
	*net.TCPConn
	remote, local net.Addr
}

// RemoteAddr implements net.Conn: it is the address of the client.
func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr implements net.Conn: it is the address that the client reached.
func (c *proxiedConn) LocalAddr() net.Addr { return c.local }
