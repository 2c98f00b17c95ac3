// Command bench measures what Monarch costs, beside a plain server of the same
// protocol in the same run on the same machine (test/bench/stub). "make bench"
// builds what it needs and starts it with a Redis of its own:
//
//	bin/test/stores bin/test/bench
//
// Every row of its table is a kind of work that monarchload does and checks, on
// ours and on the stub in turn, for as many rounds as wanted; figures are medians
// of the rounds. Ours is every role in a process of its own, on the real Redis
// and on SQLite, with the flags that they have by default. CPU time is that of
// all our processes together, by the processes' own clocks within the measured
// time; that of Redis stands apart.
//
// Exit status: 0, also if a figure is not what it is to be; 1 on a fault, or if
// a line was lost, doubled, changed or out of order; 2 on wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// flags are what can be chosen.
type flags struct {
	Rows    []string      `placeholder:"NAME" help:"Rows to measure: ${rows}; all if none is named."`
	Rounds  int           `default:"3" help:"How often each row is measured; figures are medians."`
	Window  time.Duration `default:"4s" help:"How long is measured each time."`
	JSON    bool          `name:"json" help:"Print one JSON document in place of the table."`
	Write   string        `placeholder:"FILE" help:"A document whose table, between its markers, is replaced, if all rows are measured and no profiles fetched."`
	Profile string        `placeholder:"DIR" help:"Fetch profiles of all servers while they are measured. The figures suffer."`
	Bin     string        `default:"bin" placeholder:"DIR" help:"Where the programs are."`
}

func main() {
	// The servers are to die with this process, and Linux takes the thread that
	// started them for it.
	runtime.LockOSThread()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	f := new(flags)
	var names []string
	for _, r := range rows(0) {
		names = append(names, r.name)
	}
	answered := -1 // the status of --help
	parser, err := kong.New(f, kong.Name("bench"), kong.Description("Measure what Monarch costs, beside a plain server."),
		kong.Vars{"rows": strings.Join(names, ", ")}, kong.Exit(func(status int) { answered = status }))
	if err != nil {
		panic(fmt.Sprintf("the command line is declared wrongly: %v", err))
	}
	_, err = parser.Parse(args)
	if answered >= 0 {
		return answered
	}
	for _, name := range f.Rows {
		if !slices.Contains(names, name) {
			err = errors.Join(err, fmt.Errorf("--rows: there is no row %s", name))
		}
	}
	if err == nil && f.Rounds < 1 {
		err = fmt.Errorf("--rounds: %d is not positive", f.Rounds)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v (see --help)\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, f); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// bench measures and prints.
func bench(ctx context.Context, f *flags) error {
	w, end, err := prepare(ctx, f.Bin)
	if err != nil {
		return err
	}
	defer end()
	var want *profiles
	if f.Profile != "" {
		if err := os.MkdirAll(f.Profile, 0o755); err != nil {
			return err
		}
		want = &profiles{f.Profile, max(1, int(f.Window/time.Second))}
	}
	rep := newReport()
	for round := range f.Rounds {
		for _, r := range rows(f.Window) {
			if len(f.Rows) > 0 && !slices.Contains(f.Rows, r.name) {
				continue
			}
			for _, on := range []setup{r.on, r.beside} {
				busy := busyShare(ctx)
				m, err := w.measure(ctx, r, on, want)
				if err != nil {
					return fmt.Errorf("measure %s on %s: %w", r.name, on, err)
				}
				says := rep.add(r, on, m, busy)
				fmt.Fprintf(os.Stderr, "round %d of %d  %-9s %-8s %s\n", round+1, f.Rounds, r.name, on, says)
			}
		}
	}
	rep.close()
	// What is published is whole and not disturbed.
	if f.Write != "" && len(f.Rows) == 0 && want == nil {
		if err := rep.write(f.Write); err != nil {
			return err
		}
	}
	if f.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		_, err = os.Stdout.WriteString(rep.text())
	}
	if err == nil && len(rep.Faults) > 0 {
		err = errors.New("not every line came as it had to")
	}
	return err
}

// redisVariable names the Redis that test/stores has started.
const redisVariable = "MONARCH_TEST_REDIS"

// prepare makes accounts and a database. end takes all of it away.
func prepare(ctx context.Context, bin string) (_ *world, end func(), err error) {
	url := os.Getenv(redisVariable)
	if url == "" {
		return nil, nil, fmt.Errorf("%s names no Redis: start it with make bench", redisVariable)
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "monarch-bench-")
	if err != nil {
		return nil, nil, err
	}
	w := &world{bin: bin, dir: dir}
	end = func() {
		if w.redis != nil {
			_ = w.redis.client.Close() // there is nothing to be lost
		}
		_ = os.RemoveAll(dir) // the system clears what is left
	}
	if w.redis, err = openRedis(ctx, url); err == nil {
		err = writeAccounts(dir, users, sleepers)
	}
	if err == nil {
		err = w.populate(ctx)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return w, end, nil
}
