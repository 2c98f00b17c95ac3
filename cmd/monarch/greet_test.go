package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/node"
)

func TestGreeting(t *testing.T) {
	away := status.Error(codes.Unavailable, "away")
	refused := status.Error(codes.Unauthenticated, "token")
	const (
		nobody = "no directory answers at here:7863"
		token  = "the directory refuses the token of --cluster-token-file"
		none   = "the directory was given no token"
		back   = "the directory answers"
	)
	for name, c := range map[string]struct {
		answers []error  // in order
		ready   string   // a letter behind each answer: r for ready, n for not
		log     []string // the beginnings of its lines
	}{
		"at once": {
			answers: []error{nil}, ready: "r",
		},
		"after a moment, as roles start in any order": {
			answers: []error{away, nil}, ready: "nr",
		},
		"after longer": {
			answers: []error{away, away, away, away, away, away, away, nil}, ready: "nnnnnnnr",
			log: []string{nobody, back},
		},
		"with the wrong token": {
			answers: []error{refused, refused, nil}, ready: "nnr",
			log: []string{token, back},
		},
		"with a token that becomes a wrong one": {
			answers: []error{nil, refused, refused, nil}, ready: "rnnr",
			log: []string{token, back},
		},
		"one that was given no token": {
			answers: []error{status.Error(codes.PermissionDenied, "no token"), nil}, ready: "nr",
			log: []string{none, back},
		},
		"one that goes away later": {
			answers: []error{nil, away, away, nil}, ready: "rrrr",
		},
		"one that refuses while others are away": {
			answers: []error{nil, refused, away, nil}, ready: "rnnr",
			log: []string{token, back},
		},
		"one that has too much to do": {
			answers: []error{status.Error(codes.ResourceExhausted, "busy")}, ready: "r",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var ready strings.Builder
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p := &node.Process{Log: slog.New(slog.NewTextHandler(&log, nil))}
				var g *greeting
				note := func() {
					if g.ready() == nil {
						ready.WriteByte('r')
					} else {
						ready.WriteByte('n')
					}
				}
				calls := 0
				g = newGreeting(p, "here:7863", "--cluster-token-file", func(context.Context) error {
					if calls > 0 {
						note() // what came of the answer before
					}
					calls++
					if calls > len(c.answers) {
						cancel()
						return errors.New("over")
					}
					return c.answers[calls-1]
				})
				if g.ready() == nil {
					t.Error("before the first answer: want it not ready, got ready")
				}
				if err := g.run(ctx); err != nil {
					t.Fatal(err)
				}
				if got := ready.String(); got != c.ready {
					t.Errorf("ready: want %s, got %s", c.ready, got)
				}
				var said []string
				for line := range strings.Lines(log.String()) {
					_, message, _ := strings.Cut(line, "msg=")
					said = append(said, strings.Trim(message, `"`))
				}
				if !slices.EqualFunc(said, c.log, strings.HasPrefix) {
					t.Errorf("log: want %q, got %q", c.log, said)
				}
			})
		})
	}
}
