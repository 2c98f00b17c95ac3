package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type nodeCommands struct {
	List   nodeList   `cmd:"" help:"List the nodes with their load."`
	Drain  nodeDrain  `cmd:"" help:"Take a notification or switchboard node out of service; its clients are moved to others, and the process goes on."`
	Resume nodeResume `cmd:"" help:"Put a draining node back into service."`
}

type nodeList struct{}

// Run lists the nodes.
func (c *nodeList) Run(ctx context.Context, a *app) error {
	var nodes api.NodeList
	if err := a.call(ctx, http.MethodGet, nil, nil, &nodes, "nodes"); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	l := a.newList("NODE", "ROLE", "STATE", "SESSIONS", "UP", "VERSION", "ADDRESSES")
	for _, node := range nodes.Nodes {
		load := fmt.Sprint(node.Sessions)
		if node.Capacity != 0 {
			load = fmt.Sprintf("%d/%d", node.Sessions, node.Capacity)
		}
		addresses := make([]string, 0, len(node.Addresses))
		for _, address := range node.Addresses {
			text := address.Address
			if address.Listener != "" {
				text = address.Listener + "=" + text
			}
			addresses = append(addresses, text)
		}
		l.row(node, node.ID, node.Role, node.State, load, age(time.Since(node.Started)), node.Version, strings.Join(addresses, ","))
	}
	return l.end("no node is there")
}

// nodeChoice names a node, by its id or by where clients reach it.
type nodeChoice struct {
	ID      string `arg:"" optional:"" help:"Id of the node, as node list shows it."`
	Address string `name:"address" placeholder:"HOST:PORT" help:"An address of the node in place of its id."`
}

// find returns the id of the node.
func (c *nodeChoice) find(ctx context.Context, a *app) (string, error) {
	if (c.ID == "") == (c.Address == "") {
		return "", usageError{errors.New("give the id of a node, or --address")}
	}
	if c.ID != "" {
		return c.ID, nil
	}
	var nodes api.NodeList
	if err := a.call(ctx, http.MethodGet, nil, nil, &nodes, "nodes"); err != nil {
		return "", fmt.Errorf("list nodes: %w", err)
	}
	// A node that was killed and started again stands twice in the list until
	// the lease of the first is over: the younger one is meant.
	var found *api.Node
	for i, node := range nodes.Nodes {
		reached := slices.ContainsFunc(node.Addresses, func(at api.Address) bool { return at.Address == c.Address })
		if reached && (found == nil || node.Started.After(found.Started)) {
			found = &nodes.Nodes[i]
		}
	}
	if found == nil {
		return "", fmt.Errorf("there is no notification or switchboard node at %s", c.Address)
	}
	return found.ID, nil
}

// tell asks for the node to drain or resume, and says what it does now.
func (c *nodeChoice) tell(ctx context.Context, a *app, verb string) error {
	id, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	var node api.Node
	if err := a.call(ctx, http.MethodPost, nil, nil, &node, "nodes", id, verb); err != nil {
		return fmt.Errorf("%s %s: %w", verb, id, err)
	}
	return a.say(node, "%s node %s is %s", node.Role, node.ID, node.State)
}

type nodeDrain struct{ nodeChoice }

// Run has a node drain.
func (c *nodeDrain) Run(ctx context.Context, a *app) error { return c.tell(ctx, a, "drain") }

type nodeResume struct{ nodeChoice }

// Run has a node resume.
func (c *nodeResume) Run(ctx context.Context, a *app) error { return c.tell(ctx, a, "resume") }

// age prints a duration in its two largest units.
func age(d time.Duration) string {
	d = max(d, 0)
	switch days := int(d.Hours()) / 24; {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, int(d.Hours())%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
}
