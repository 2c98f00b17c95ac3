// Command monarch is the server of an MSN Messenger network: one subcommand
// for each role, and "all" for a whole network in one process. The flags of a
// role come from the Config structs of the packages that it is made of, and
// each flag has an environment variable named by rule: --redis is
// MONARCH_REDIS, --notification.outbox-bytes MONARCH_NOTIFICATION_OUTBOX_BYTES.
//
// Exit status: 0 after a clean drain, 1 on a fault, which is one sentence on
// standard error, 2 on wrong usage.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	_ "time/tzdata" // for TZ in an image that has no files

	"github.com/alecthomas/kong"
	_ "golang.org/x/crypto/x509roots/fallback" // where the machine has no certificates of its own

	"github.com/monarch-msn/monarch/internal/node"
)

// commandLine is everything that monarch understands.
type commandLine struct {
	All          allCmd          `cmd:"" set:"drain_timeout=5s" help:"Run a whole network in one process, with embedded stores unless others are named."`
	Dispatch     dispatchCmd     `cmd:"" set:"drain_timeout=10s" help:"Send clients on to a notification node with room."`
	Notification notificationCmd `cmd:"" set:"drain_timeout=45s" help:"Keep the sessions of clients: login, lists and presence."`
	Switchboard  switchboardCmd  `cmd:"" set:"drain_timeout=75s" help:"Carry conversations."`
	Directory    directoryCmd    `cmd:"" set:"drain_timeout=15s" help:"Serve users, groups and lists to the other roles, by gRPC."`
	Operator     operatorCmd     `cmd:"" set:"drain_timeout=15s" help:"Serve the operator's HTTP interface, which monarchctl speaks."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the schema of the database up and exit."`
	Health       healthCmd       `cmd:"" help:"Ask a process on this machine whether it runs, or with --ready whether it is ready."`
	Version      versionCmd      `cmd:"" help:"Print version, commit and Go version."`
}

// command is a subcommand. Its run returns the exit status.
type command interface {
	run(ctx context.Context, stdout, stderr io.Writer) int
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run parses args and the environment and runs the command that they name.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	answered := -1 // the status of --help
	parser, err := kong.New(new(commandLine), append(options(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { answered = status }),
	)...)
	if err != nil {
		panic(fmt.Sprintf("the command line is declared wrongly: %v", err)) // any test finds it
	}
	parsed, err := parser.Parse(args)
	switch {
	case answered >= 0:
		return answered
	case err != nil:
		return misused(stderr, err)
	}
	return parsed.Selected().Target.Addr().Interface().(command).run(ctx, stdout, stderr)
}

// options say how the command line is read.
func options() []kong.Option {
	return []kong.Option{
		kong.Name("monarch"),
		kong.Description("A horizontally scaled MSN Messenger server.\n\n" +
			"Every flag is also an environment variable: --redis is MONARCH_REDIS. A flag comes before its variable, " +
			"and a variable before the default. Secrets may stand in files: MONARCH_REDIS_FILE, MONARCH_DATABASE_FILE."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(explain),
		kong.ExplicitGroups([]kong.Group{
			{Key: "process", Title: "Process:"},
			{Key: "pod", Title: "Templates of --advertise:"},
		}),
		kong.DefaultEnvars("MONARCH"),
		kong.Resolvers(secretFiles{os.LookupEnv}),
	}
}

// explain is the help of a flag. Kong shows a placeholder in place of the
// default, so that is added where there are both.
func explain(value *kong.Value) string {
	if value.Tag.PlaceHolder == "" || value.Default == "" {
		return kong.DefaultHelpValueFormatter(value)
	}
	told := *value
	told.Help = fmt.Sprintf("%s (default %s).", strings.TrimSuffix(value.Help, "."), value.Default)
	return kong.DefaultHelpValueFormatter(&told)
}

// misused tells of wrong usage, in one sentence, and returns its exit status.
func misused(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "monarch: %s (see monarch --help)\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return node.ExitUsage
}
