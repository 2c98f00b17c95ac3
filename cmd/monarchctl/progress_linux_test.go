package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// TestProgressOnATerminal imports with a terminal as standard error: a bar is
// drawn there and taken away again, and problems stand on lines of their own.
func TestProgressOnATerminal(t *testing.T) {
	n := startNetwork(t)
	n.create("user00002@example.com")
	screen, tty := openTerminal(t)
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(screen) // It ends with an error when the other side is closed.
		shown <- string(text)
	}()
	var out strings.Builder
	args := []string{"--server", n.server.URL, "--token-file", n.tokenFile, "user", "import", file(t, accountRows(0, roundRows+500))}
	status := run(context.Background(), args, console{in: strings.NewReader(""), out: &out, err: tty})
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	text := <-shown
	if status != exitFault || out.String() != "accounts: 2499 created, 1 already there, 0 rejected\n" {
		t.Errorf("status %d and %q", status, out.String())
	}
	for _, want := range []string{"importing accounts", "/2500", "\nline 3: the account user00002@example.com"} {
		if !strings.Contains(strings.ReplaceAll(text, "\x1b[2K\r", "\n"), want) {
			t.Errorf("the terminal lacks %q:\n%q", want, text)
		}
	}
	if !strings.HasSuffix(text, "\x1b[2K\r") {
		t.Errorf("the bar is left on the terminal:\n%q", text)
	}
}

// TestPasswordOnATerminal types a password, which is asked for.
func TestPasswordOnATerminal(t *testing.T) {
	n := startNetwork(t)
	screen, tty := openTerminal(t)
	defer tty.Close()
	var out, prompt strings.Builder
	ended := make(chan int, 1)
	go func() {
		args := []string{"--server", n.server.URL, "--token-file", n.tokenFile, "user", "create", "alice@example.com", "--password-stdin"}
		ended <- run(context.Background(), args, console{in: tty, out: &out, err: &prompt})
	}()
	if _, err := io.WriteString(screen, "secret\n"); err != nil {
		t.Fatal(err)
	}
	if status := <-ended; status != exitDone || out.String() != "created alice@example.com\n" {
		t.Errorf("status %d and %q", status, out.String())
	}
	if want := "Password for alice@example.com: \n"; prompt.String() != want {
		t.Errorf("prompt %q, want %q", prompt.String(), want)
	}
}

// openTerminal returns both sides of a new pseudo terminal.
func openTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	var number, unlock uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatalf("open a terminal: %v", errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}
