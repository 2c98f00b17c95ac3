package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

// healthCmd asks a running process how it is. An image from scratch has no
// other program that could.
type healthCmd struct {
	TelemetryListen string        `name:"telemetry.listen" default:"127.0.0.1:9863" placeholder:"ADDR" help:"Address on which the process serves /healthz and /readyz; a wildcard stands for this machine."`
	Ready           bool          `name:"ready" help:"Ask whether it is ready for clients, not only whether it runs."`
	Timeout         time.Duration `name:"timeout" default:"3s" placeholder:"TIME" help:"Most time to wait for the answer."`
}

// answerBytes bounds what is read of an answer.
const answerBytes = 64 << 10

func (c *healthCmd) run(ctx context.Context, stdout, stderr io.Writer) int {
	url, err := c.url()
	if err != nil {
		return misused(stderr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := ask(ctx, url)
	if err != nil {
		fmt.Fprintf(stderr, "monarch: %v\n", err)
		return node.ExitFault
	}
	fmt.Fprint(stdout, answer)
	return node.ExitOK
}

// url is what is asked.
func (c *healthCmd) url() (string, error) {
	host, port, err := net.SplitHostPort(c.TelemetryListen)
	if err != nil {
		return "", fmt.Errorf("--telemetry.listen %q names no listener that could be asked: want host:port", c.TelemetryListen)
	}
	switch ip, _ := netip.ParseAddr(host); {
	case host == "", ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case ip == netip.IPv6Unspecified():
		host = "::1"
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz?verbose"
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}

// ask returns the answer to a question that is answered with yes. The error of
// a no says why.
func ask(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	// Without a proxy of the environment: the process is on this machine.
	response, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the answer of %s: %w", url, err)
	case response.StatusCode != http.StatusOK:
		return "", errors.New(strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "; "))
	}
	return string(body), nil
}
