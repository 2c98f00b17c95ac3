package main

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// server is all three servers.
type server struct {
	dispatch, notification, switchboard string // host:port
	accounts                            map[string]*account
	last                                atomic.Int64 // number given last, to a cookie or a room

	// passing is held by whoever comes online or goes offline, or two who do so
	// at once would hear of each other twice.
	passing sync.Mutex

	mu    sync.Mutex
	rooms map[string]*room // by the cookies that let somebody in
}

// conn is a connection of a client.
type conn struct {
	net.Conn
	in *bufio.Reader
}

// accept serves each connection on a goroutine of its own.
func accept(ln net.Listener, serve func(*conn) error) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = serve(&conn{c, bufio.NewReader(c)}) // it says why the client goes
		}()
	}
}

// next reads the words of a line.
func (c *conn) next() ([]string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	return strings.Fields(line), nil
}

// send writes lines. Writes of several goroutines go out one behind the other.
// One that fails is noticed by whoever reads from the connection.
func (c *conn) send(b []byte) { _, _ = c.Write(b) }

// say writes a line of words.
func (c *conn) say(words ...string) { c.send(appendLine(nil, words...)) }

func appendLine(b []byte, words ...string) []byte {
	for i, w := range words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, w...)
	}
	return append(b, "\r\n"...)
}

var errProtocol = errors.New("a line out of place")

// greet answers VER and INF and returns the first line of USR.
func (c *conn) greet() ([]string, error) {
	for {
		words, err := c.next()
		if err != nil {
			return nil, err
		}
		switch {
		case len(words) < 2:
			return nil, errProtocol
		case words[0] == "VER":
			c.say("VER", words[1], "MSNP7")
		case words[0] == "INF":
			c.say("INF", words[1], "MD5")
		case words[0] == "USR" && len(words) == 5:
			return words, nil
		default:
			return nil, errProtocol
		}
	}
}

// serveDispatch sends the client to the notification server.
func (s *server) serveDispatch(c *conn) error {
	usr, err := c.greet()
	if err != nil {
		return err
	}
	c.say("XFR", usr[1], "NS", s.notification, "0", s.dispatch)
	_, err = c.next() // the client hangs up
	return err
}
