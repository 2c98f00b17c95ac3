// Command monarchctl runs a Monarch network from the command line: accounts,
// contacts, sessions and nodes, through the network's operator service. With
// chat it is a client of the network itself.
//
// It exits with 0 when all was done, 1 on a fault or when a row of an import
// was refused, 2 on wrong usage. Faults are one sentence on standard error.
// What it prints on standard output is a table for people, or with --output
// json the shapes of the operator's HTTP interface for programs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // where the machine has no certificates of its own

	"github.com/monarch-msn/monarch/msnp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(status)
}

// Exit statuses.
const (
	exitDone  = 0
	exitFault = 1
	exitUsage = 2
)

// console is where a command reads and writes.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// commandLine is everything that monarchctl understands.
type commandLine struct {
	Server    string `default:"http://127.0.0.1:8080" help:"Where the operator service listens."`
	TokenFile string `default:"data/operator.token" help:"File with the operator's token."`
	Output    string `enum:"table,json" default:"table" help:"How to print: table or json."`

	User    userCommands    `cmd:"" help:"Create, import, show and change accounts."`
	Contact contactCommands `cmd:"" help:"Import contacts."`
	Session sessionCommands `cmd:"" help:"See who is logged in, and end sessions."`
	Node    nodeCommands    `cmd:"" help:"See the nodes of the network."`
	Chat    chatCommand     `cmd:"" help:"Sign in as a user and talk, to try a network. The operator service is not asked."`

	Announce announce `cmd:"" help:"Tell users something, or that the network goes down."`
}

// app is what commands are given.
type app struct {
	console
	*client
	json bool
}

// usageError is a fault of the command line rather than of the network.
type usageError struct{ error }

// errRejected ends an import that printed its rejected rows already.
var errRejected = errors.New("rows were rejected")

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, con console) (status int) {
	// Kong wants to leave the process after --help.
	type exit int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			status = int(r)
		default:
			panic(r)
		}
	}()
	var cli commandLine
	parser, err := kong.New(&cli,
		kong.Name("monarchctl"),
		kong.Description("Runs a Monarch network through its operator service."),
		kong.Writers(con.out, con.err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.DefaultEnvars("MONARCH"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // The command line above is malformed; any test sees it.
	}
	command, err := parser.Parse(args)
	if err != nil {
		return report(con, usageError{err})
	}
	a := &app{console: con, json: cli.Output == "json"}
	if command.Selected().Name != "chat" {
		if a.client, err = newClient(cli.Server, cli.TokenFile); err != nil {
			return report(con, err)
		}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return report(con, command.Run(a))
}

// report prints an error, if there is one, and returns the exit status.
func report(con console, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errRejected):
		return exitFault
	case errors.As(err, &usage):
		fmt.Fprintf(con.err, "monarchctl: %s (monarchctl --help shows what there is)\n", printable(err.Error()))
		return exitUsage
	default:
		fmt.Fprintf(con.err, "monarchctl: %s\n", printable(err.Error()))
		return exitFault
	}
}

// emailArg is an email on the command line, in the spelling that the network
// uses.
type emailArg string

// UnmarshalText reads an email; kong calls it.
func (e *emailArg) UnmarshalText(text []byte) error {
	email, err := msnp.ParseEmail(text)
	if err != nil {
		return fmt.Errorf("%q is not an email address", text)
	}
	*e = emailArg(email.String())
	return nil
}
