package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// home is a network in one process that can be started again where it stood:
// the same ports, the same data directory.
type home struct {
	dataDir, dispatch, operator string
	flags                       []string
}

func newHome(t *testing.T, nodes int) *home {
	t.Helper()
	dispatch, operator := network.Port(t), network.Port(t)
	h := &home{
		dataDir:  filepath.Join(t.TempDir(), "data"),
		dispatch: network.Loopback(dispatch),
		operator: network.Loopback(operator),
	}
	h.flags = []string{
		"--data-dir", h.dataDir,
		"--dispatch.port", strconv.Itoa(dispatch),
		"--notification.nodes", strconv.Itoa(nodes),
		"--notification.port", strconv.Itoa(network.Ports(t, nodes)),
		"--switchboard.nodes", strconv.Itoa(nodes),
		"--switchboard.port", strconv.Itoa(network.Ports(t, nodes)),
		"--operator.listen", h.operator,
	}
	return h
}

// start starts the network and returns when clients can log in.
func (h *home) start(t *testing.T, name string, flags ...string) *network.Process {
	t.Helper()
	p := network.Monarch(t, name, nil, append(append([]string{"all"}, h.flags...), flags...)...)
	p.AwaitReady()
	return p
}

// create makes accounts through the operator, as monarchctl does.
func (h *home) create(t *testing.T, accounts []api.NewAccount) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(h.dataDir, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.AccountBatch{Accounts: accounts})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+h.operator+"/api/v1/accounts/batch", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(fmt.Errorf("create accounts: %w", err))
	}
	defer resp.Body.Close()
	var result api.BatchResult
	if err := json.NewDecoder(resp.Body).Decode(&result); err != nil {
		t.Fatalf("create accounts: %s: %v", resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK || result.Done != len(accounts) {
		t.Fatalf("create accounts: %s: %d of %d, errors %v", resp.Status, result.Done, len(accounts), result.Errors)
	}
}
