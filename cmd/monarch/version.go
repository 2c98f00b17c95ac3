package main

import (
	"context"
	"fmt"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
)

type versionCmd struct{}

func (*versionCmd) run(_ context.Context, stdout, _ io.Writer) int {
	b := node.Version()
	commit := b.Commit
	if commit == "" {
		commit = "unknown"
	}
	fmt.Fprintf(stdout, "monarch %s, commit %s, %s\n", b.Version, commit, b.Go)
	return node.ExitOK
}
