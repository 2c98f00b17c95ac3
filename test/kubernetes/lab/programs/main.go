// Command programs builds what the tests of a level need and the user's cache
// lacks, and says what it does. The tests do it too, but "go test" shows nothing
// of it before they end.
//
//	go run ./lab/programs control-plane
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

var levels = map[string][]string{
	"control-plane": lab.ControlPlane,
	"simulated":     lab.Simulated,
	"real":          lab.Real,
}

func main() {
	if len(os.Args) != 2 || levels[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "programs: usage: programs %s\n", strings.Join(slices.Sorted(maps.Keys(levels)), "|"))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := lab.Possible()
	if err == nil {
		_, err = lab.Build(ctx, levels[os.Args[1]])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "programs: %v\n", err)
		os.Exit(1)
	}
}
