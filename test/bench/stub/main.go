// Command stub is what Monarch is measured beside: a server of the same
// protocol that answers the same lines from tables in memory. It has one
// goroutine for each connection, reads by a bufio.Reader, and writes each answer
// by one Write. There is no store, no Redis, no other process, and nothing is
// checked: whoever asks for an account gets it, every answer to a challenge is
// right, everybody is on everybody's allow list.
//
//	stub --accounts FILE --contacts FILE --dispatch ADDR --notification ADDR --switchboard ADDR --telemetry.listen ADDR
//
// It speaks MSNP7, with clients that keep to it: what one of them sends out of
// place ends its connection. It is meant to be plain, neither tuned nor held
// back, so that a figure of ours divided by its own says how far we are from
// what the machine allows.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // profiles, as ours have them
	"os"
)

func main() {
	accounts := flag.String("accounts", "", "CSV `file`: email,password,name")
	contacts := flag.String("contacts", "", "CSV `file`: owner,contact; each pair in both directions")
	dispatch := flag.String("dispatch", "127.0.0.1:1863", "`address` of the dispatch server")
	notification := flag.String("notification", "127.0.0.1:1864", "`address` of the notification server")
	switchboard := flag.String("switchboard", "127.0.0.1:1964", "`address` of the switchboard")
	telemetry := flag.String("telemetry.listen", "127.0.0.1:9863", "`address` of /readyz and /debug/pprof")
	flag.Parse()
	s := &server{dispatch: *dispatch, notification: *notification, switchboard: *switchboard, rooms: make(map[string]*room)}
	if err := run(s, *accounts, *contacts, *telemetry); err != nil {
		fmt.Fprintf(os.Stderr, "stub: %v\n", err)
		os.Exit(1)
	}
}

// run serves until something fails.
func run(s *server, accounts, contacts, telemetry string) (err error) {
	if s.accounts, err = readAccounts(accounts, contacts); err != nil {
		return err
	}
	failed := make(chan error)
	for addr, serve := range map[string]func(*conn) error{
		s.dispatch:     s.serveDispatch,
		s.notification: s.serveNotification,
		s.switchboard:  s.serveSwitchboard,
	} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		go func() { failed <- accept(ln, serve) }()
	}
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	go func() { failed <- http.ListenAndServe(telemetry, nil) }()
	return <-failed
}
