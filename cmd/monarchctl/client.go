package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/monarch-msn/monarch/services/operator/api"
)

const (
	// callTimeout bounds one request. It is longer than the operator's own
	// limit, whose answer says more.
	callTimeout = 90 * time.Second
	// maxAnswer bounds the body of an answer in bytes: the sessions of one
	// large node are some megabytes.
	maxAnswer = 256 << 20
	// maxToken bounds the token file in bytes.
	maxToken = 4096
)

// client speaks to one operator.
type client struct {
	server    *url.URL
	tokenFile string
	token     string
	http      *http.Client
}

// newClient makes a client of the operator at server. It reads the token, but
// connects to nothing.
func newClient(server, tokenFile string) (*client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError{fmt.Errorf("--server %q is not an http or https URL", server)}
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = importers
	return &client{
		server:    u,
		tokenFile: tokenFile,
		token:     token,
		http:      &http.Client{Transport: transport, Timeout: callTimeout},
	}, nil
}

// readToken returns the first line of a file: where a server has a second one it
// is about to change, or has just changed, its token.
func readToken(name string) (string, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no token file %s (monarch all writes operator.token into its data directory; name it with --token-file)", name)
	}
	if err != nil {
		return "", fmt.Errorf("read token file %s: %w", name, cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", fmt.Errorf("read token file %s: %w", name, cause(err))
	}
	token, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	token = strings.TrimSpace(token)
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token file %s does not hold a token, which is a line of text without blanks", name)
	}
	return token, nil
}

// answerError is an answer of the operator other than success.
type answerError struct {
	status int
	body   api.Error
}

func (e *answerError) Error() string { return e.body.Error }

// errReach says that no answer came. What was asked may have been done.
var errReach = errors.New("cannot reach the operator")

// errInterrupted says that the user broke off what was under way.
var errInterrupted = errors.New("interrupted")

// call sends body as JSON, unless it is nil, to a path under /api/v1 and
// decodes the answer into into, unless that is nil. The path's parts are
// escaped here.
func (c *client) call(ctx context.Context, method string, query url.Values, body, into any, path ...string) error {
	target := c.server.JoinPath("api", "v1")
	for _, part := range path {
		target = target.JoinPath(url.PathEscape(part))
	}
	target.RawQuery = query.Encode()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), payload)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	return c.decode(resp, text, into)
}

// decode reads an answer that has arrived.
func (c *client) decode(resp *http.Response, text []byte, into any) error {
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("the operator at %s refuses the token in %s (give the token file of that very server with --token-file)", c.server, c.tokenFile)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		refused := &answerError{status: resp.StatusCode}
		if json.Unmarshal(text, &refused.body) != nil || refused.body.Error == "" {
			return c.stranger(resp)
		}
		return refused
	}
	if into == nil {
		return nil
	}
	if json.Unmarshal(text, into) != nil {
		return c.stranger(resp)
	}
	return nil
}

// stranger is the error for an answer that no operator gives.
func (c *client) stranger(resp *http.Response) error {
	return fmt.Errorf("what answers at %s is not a Monarch operator (it says %q; is --server right?)", c.server, resp.Status)
}

// unreachable is the error for a request that got no answer.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w at %s: it does not answer in time", errReach, c.server)
	}
	return fmt.Errorf("%w at %s: %w (is monarch running there? --server names another address)", errReach, c.server, cause(err))
}

// cause strips from an error what its surroundings say already: the address,
// the method, the file.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
