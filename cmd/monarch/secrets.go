package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/internal/rpc"
)

// secret is the value of a flag that may stand in a file: what stands on a
// command line or in an environment is seen by too many.
type secret struct {
	text string
	// name is the variable that named the file, which may change; both are
	// empty where the flag or its own variable was set.
	name, file string
}

// Decode implements kong.MapperValue.
func (s *secret) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("URL")
	if err != nil {
		return err
	}
	if read, ok := token.Value.(secret); ok {
		*s = read
		return nil
	}
	*s = secret{text: token.String()}
	return nil
}

// reread has take called when the file has changed.
func (s secret) reread(ctx context.Context, p *node.Process, take func(text string) error) error {
	if s.file == "" {
		return nil
	}
	return p.Secret(ctx, s.name, s.file, func(_ context.Context, text string) error {
		text, err := oneLine(text)
		if err != nil {
			return err
		}
		return take(text)
	})
}

func isSecret(flag *kong.Flag) bool {
	_, ok := flag.Target.Interface().(secret)
	return ok
}

func oneLine(text string) (string, error) {
	if strings.ContainsAny(text, "\r\n") {
		return "", errors.New("the file has more than one line")
	}
	return text, nil
}

// secretFiles lets a flag of type secret be read from a file that the variable
// with _FILE behind the flag's own names.
type secretFiles struct {
	lookup func(name string) (string, bool)
}

// Validate implements kong.Resolver.
func (s secretFiles) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. Kong asks for flags that are not on the
// command line only.
func (s secretFiles) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSecret(flag) {
		return nil, nil
	}
	for _, name := range flag.Envs {
		path, ok := s.lookup(name + "_FILE")
		if !ok || path == "" {
			continue
		}
		if value, ok := s.lookup(name); ok && value != "" {
			return nil, fmt.Errorf("%s and %s_FILE are both set: keep one of them", name, name)
		}
		text, err := node.ReadSecret(path)
		if err == nil {
			text, err = oneLine(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		return secret{text: text, name: name + "_FILE", file: path}, nil
	}
	return nil, nil
}

// openToken returns the token in the file of a flag, which may change, or none
// where the flag is empty.
func openToken(ctx context.Context, p *node.Process, path, flag string) (rpc.Token, error) {
	if path == "" {
		return nil, nil
	}
	var now atomic.Pointer[[]string]
	err := p.Secret(ctx, flag, path, func(_ context.Context, text string) error {
		lines, err := rpc.ParseTokens(text)
		if err == nil {
			now.Store(&lines)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() []string { return *now.Load() }, nil
}
