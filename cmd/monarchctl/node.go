package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type nodeCommands struct {
	List nodeList `cmd:"" help:"List the nodes with their load."`
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
