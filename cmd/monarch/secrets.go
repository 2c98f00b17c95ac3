package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/internal/node"
)

// secretFiles lets a flag with the tag secret be read from a file that the
// variable with _FILE behind the flag's own names: what stands on a command
// line or in an environment is seen by too many.
type secretFiles struct {
	lookup func(name string) (string, bool)
}

// Validate implements kong.Resolver.
func (s secretFiles) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. Kong asks for flags that are not on the
// command line only.
func (s secretFiles) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !flag.Tag.Has("secret") {
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
		secret, err := node.ReadSecret(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		return secret, nil
	}
	return nil, nil
}

// readToken returns the secret in the file of a flag, or "" where the flag is
// empty.
func readToken(path, flag string) (string, error) {
	if path == "" {
		return "", nil
	}
	token, err := node.ReadSecret(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if len(token) < minToken {
		return "", fmt.Errorf("%s: the token has %d characters and needs %d", flag, len(token), minToken)
	}
	return token, nil
}

// minToken is short for a random token and long for a guessed one.
const minToken = 16
