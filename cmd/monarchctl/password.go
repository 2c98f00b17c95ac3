package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxPassword bounds what is read as a password, in bytes. The directory has
// a limit of its own, and says so.
const maxPassword = 4096

// readPassword reads a password from standard input, of which it takes away
// one line ending. On a terminal it asks for it and does not show it.
func (a *app) readPassword(ctx context.Context, email string) (string, error) {
	if f, ok := terminal(a.in); ok {
		return a.askPassword(ctx, f, email)
	}
	text, err := io.ReadAll(io.LimitReader(a.in, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", cause(err))
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case password == "":
		return "", usageError{errors.New("the password on standard input is empty")}
	case len(password) > maxPassword:
		return "", usageError{fmt.Errorf("the password on standard input is longer than %d bytes", maxPassword)}
	case strings.ContainsAny(password, "\r\n"):
		return "", usageError{errors.New("there is more than one line on standard input, where a password is wanted")}
	}
	return password, nil
}

// askPassword prompts on f. Nothing can interrupt a read from a terminal, so
// after an interrupt the reading goroutine is left to the end of the process,
// which follows at once.
func (a *app) askPassword(ctx context.Context, f *os.File, email string) (string, error) {
	shown, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("prepare the terminal for a password: %w", err)
	}
	fmt.Fprintf(a.err, "Password for %s: ", printable(email))
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(f.Fd()))
		answered <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(int(f.Fd()), shown) // There is nobody left to tell.
		fmt.Fprintln(a.err)
		return "", errInterrupted
	case got := <-answered:
		fmt.Fprintln(a.err)
		if got.err != nil {
			return "", fmt.Errorf("read the password: %w", got.err)
		}
		if len(got.text) == 0 {
			return "", usageError{errors.New("the password is empty")}
		}
		return string(got.text), nil
	}
}

// terminal gives the file behind a stream that is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
