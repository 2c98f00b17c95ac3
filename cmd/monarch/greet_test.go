package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/node"
)

func TestGreeting(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error // in order, then nil
		want    []string
	}{
		"at once": {},
		"after a moment, as roles start in any order": {
			answers: []error{status.Error(codes.Unavailable, "away")},
		},
		"after longer": {
			answers: []error{
				status.Error(codes.Unavailable, "a"), status.Error(codes.Unavailable, "b"), status.Error(codes.Unavailable, "c"),
				status.Error(codes.Unavailable, "d"), status.Error(codes.Unavailable, "e"), status.Error(codes.Unavailable, "f"),
				status.Error(codes.Unavailable, "g"),
			},
			want: []string{"no directory answers at here:7863", "the directory answers"},
		},
		"with the wrong token": {
			answers: []error{status.Error(codes.Unauthenticated, "token"), status.Error(codes.Unauthenticated, "token")},
			want:    []string{"the directory refuses the token of --cluster-token-file", "the directory answers"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				ctx, cancel := context.WithCancel(t.Context())
				answers := c.answers
				p := &node.Process{Log: slog.New(slog.NewTextHandler(&log, nil))}
				greeting := greet(p, "here:7863", "--cluster-token-file", func(context.Context) error {
					if len(answers) == 0 {
						// Nothing is asked any more: the next that happens is the end.
						go func() { synctest.Wait(); cancel() }()
						return nil
					}
					err := answers[0]
					answers = answers[1:]
					return err
				})
				if err := greeting.Run(ctx); err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
				if log.Len() == 0 {
					lines = nil
				}
				if len(lines) != len(c.want) {
					t.Fatalf("want %q, got %q", c.want, lines)
				}
				for i, want := range c.want {
					if !strings.Contains(lines[i], want) {
						t.Errorf("want %q, got %q", want, lines[i])
					}
				}
			})
		})
	}
}
