package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/internal/cluster"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNetwork runs a whole network of two notification nodes.
func startNetwork(t *testing.T) *allinone.Network {
	t.Helper()
	n, err := allinone.Start(t.Context(), allinone.Options{
		DataDir: t.TempDir(), NotificationNodes: 2,
		Timing: cluster.Timing{Lease: 10 * time.Second, Beat: 50 * time.Millisecond, Refresh: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return n
}

// circles creates as many circles of accounts, in each of which everybody has
// two neighbours on the list. It returns a file for --accounts for each circle.
func circles(t *testing.T, n *allinone.Network, sizes ...int) []string {
	t.Helper()
	create := new(directoryv1.CreateAccountsRequest)
	connect := new(directoryv1.ImportContactsRequest)
	var files []string
	for circle, size := range sizes {
		var file strings.Builder
		email := func(i int) string { return fmt.Sprintf("user%d-%d@example.com", circle, (i+size)%size) }
		for i := range size {
			create.Accounts = append(create.Accounts, &directoryv1.NewAccount{Email: email(i), Password: "secret"})
			connect.Contacts = append(connect.Contacts,
				&directoryv1.NewContact{Owner: email(i), Contact: email(i + 1)},
				&directoryv1.NewContact{Owner: email(i), Contact: email(i - 1)})
			fmt.Fprintf(&file, "%s,secret,Name %d\n", email(i), i)
		}
		name := filepath.Join(t.TempDir(), "accounts.csv")
		if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	if a, err := n.Accounts().CreateAccounts(t.Context(), create); err != nil || len(a.GetErrors()) > 0 {
		t.Fatal(err, a.GetErrors())
	}
	// A few at a time, since a call has a deadline and a disk may be slow.
	for some := range slices.Chunk(connect.GetContacts(), 20) {
		if a, err := n.Accounts().ImportContacts(t.Context(), &directoryv1.ImportContactsRequest{Contacts: some}); err != nil || len(a.GetErrors()) > 0 {
			t.Fatal(err, a.GetErrors())
		}
	}
	return files
}

// tampering returns what becomes of a command with its payload, on one of the
// connections. It is asked about one at a time.
type tampering func(conn int, command []byte) []byte

// proxy stands between clients and a network, and may change what servers
// send. Addresses in XFR and RNG become its own.
type proxy struct {
	t *testing.T

	mu        sync.Mutex
	tamper    tampering
	listeners map[string]net.Listener // by the address that they stand for
	conns     map[net.Conn]struct{}
	count     int
	ended     bool
	running   sync.WaitGroup
}

// newProxy returns a proxy before the network, and the address of its dispatch.
func newProxy(t *testing.T, n *allinone.Network, tamper tampering) string {
	p := &proxy{t: t, tamper: tamper, listeners: make(map[string]net.Listener), conns: make(map[net.Conn]struct{})}
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		for _, ln := range p.listeners {
			ln.Close()
		}
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p.before(n.Dispatch())
}

// before is an address that stands for another one.
func (p *proxy) before(addr string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ln := p.listeners[addr]; ln != nil {
		return ln.Addr().String()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Error(err)
		return addr
	}
	p.listeners[addr] = ln
	p.running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				client.Close()
				continue
			}
			p.join(client, server)
		}
	})
	return ln.Addr().String()
}

// join passes bytes on, in both directions.
func (p *proxy) join(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		client.Close()
		server.Close()
		return
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.count++
	id := p.count
	p.running.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	p.running.Go(func() {
		defer client.Close()
		for r := bufio.NewReader(server); ; {
			command, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			words := strings.Fields(string(command))
			switch words[0] {
			case "MSG":
				size, _ := strconv.Atoi(words[3])
				payload := make([]byte, size)
				if _, err := io.ReadFull(r, payload); err != nil {
					return
				}
				command = append(command, payload...)
			case "XFR":
				command = bytes.ReplaceAll(command, []byte(words[3]), []byte(p.before(words[3])))
			case "RNG":
				command = bytes.ReplaceAll(command, []byte(words[2]), []byte(p.before(words[2])))
			}
			p.mu.Lock()
			command = p.tamper(id, command)
			p.mu.Unlock()
			if _, err := client.Write(command); err != nil {
				return
			}
		}
	})
}
