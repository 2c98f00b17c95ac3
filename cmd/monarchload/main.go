// Command monarchload puts a Monarch network under load: it simulates many
// clients, checks every line that they are sent, and says what it has measured.
//
// It exits with 0 when nothing was lost, doubled, changed or out of order and
// every stated target was met, with 1 when not or on a fault, with 2 on wrong
// usage. Faults are one sentence on standard error, where the progress is shown
// too; standard output has the result, as text or with --json as one document.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// Exit statuses.
const (
	exitDone  = 0
	exitFault = 1
	exitUsage = 2
)

// usageError is a fault of the command line rather than of the network.
type usageError struct{ error }

// errFaults ends a run whose result says what went wrong.
var errFaults = errors.New("something went wrong")

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) (status int) {
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
		kong.Name("monarchload"),
		kong.Description("Puts a Monarch network under load, and checks every line that its clients are sent."),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // The command line is malformed; any test sees it.
	}
	command, err := parser.Parse(args)
	if err != nil {
		return report(errOut, usageError{err})
	}
	err = command.Run(&app{ctx: ctx, out: out, err: errOut})
	return report(errOut, err)
}

// report prints an error, if there is one, and returns the exit status.
func report(w io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFaults):
		return exitFault
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "monarchload: interrupted")
		return exitFault
	case errors.As(err, &usage):
		fmt.Fprintf(w, "monarchload: %s (monarchload --help shows what there is)\n", printable(err.Error()))
		return exitUsage
	default:
		fmt.Fprintf(w, "monarchload: %s\n", printable(err.Error()))
		return exitFault
	}
}

// printable replaces what a terminal might obey: names and lines come from the
// network.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// app is what commands are given.
type app struct {
	ctx      context.Context
	out, err io.Writer
}

// do runs a load and prints what was seen.
func (a *app) do(c common, cfg load.Config) error {
	if err := c.configure(&cfg); err != nil {
		return usageError{err}
	}
	if !c.Quiet {
		var mu sync.Mutex
		cfg.Progress = func(s load.Second) {
			mu.Lock()
			defer mu.Unlock()
			printSecond(a.err, s)
		}
		cfg.Measuring = func() {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(a.err, "measuring")
		}
	}
	result, err := load.Run(a.ctx, cfg)
	if result != nil {
		if err := c.print(a.out, result); err != nil {
			return err
		}
		if c.Report != "" {
			if err := writeReport(c.Report, result); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	if !result.Faultless() {
		return errFaults
	}
	return nil
}
