package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type sessionCommands struct {
	List sessionList `cmd:"" help:"List who is logged in."`
	Kick sessionKick `cmd:"" help:"End a user's session; the user may log in again."`

	SetStatus sessionSetStatus `cmd:"" help:"Give a user another status; the user may change it back."`
}

type sessionList struct {
	On string `name:"node" placeholder:"ID" help:"Only the sessions on this node."`
}

// Run lists sessions, node by node.
func (c *sessionList) Run(ctx context.Context, a *app) error {
	nodes := []string{c.On}
	if c.On == "" {
		var all api.NodeList
		if err := a.call(ctx, http.MethodGet, nil, nil, &all, "nodes"); err != nil {
			return fmt.Errorf("list nodes: %w", err)
		}
		nodes = nil
		for _, node := range all.Nodes {
			if node.Role == "notification" {
				nodes = append(nodes, node.ID)
			}
		}
	}
	l := a.newList("EMAIL", "NODE", "DIALECT", "ID")
	for _, node := range nodes {
		var sessions api.SessionList
		err := a.call(ctx, http.MethodGet, nil, nil, &sessions, "nodes", node, "sessions")
		var refused *answerError
		if c.On == "" && errors.As(err, &refused) && refused.status == http.StatusNotFound {
			continue // The node left since it was listed, its sessions with it.
		}
		if err != nil {
			return fmt.Errorf("list sessions on %s: %w", node, err)
		}
		for _, session := range sessions.Sessions {
			l.row(session, session.Email, session.Node, session.Dialect, session.ID)
		}
	}
	return l.end("nobody is logged in")
}

type sessionKick struct {
	Email emailArg `arg:"" help:"Whose session."`
}

// Run ends one session.
func (c *sessionKick) Run(ctx context.Context, a *app) error {
	var session api.Session
	if err := a.call(ctx, http.MethodDelete, nil, nil, &session, "sessions", string(c.Email)); err != nil {
		return fmt.Errorf("kick %s: %w", c.Email, err)
	}
	return a.say(session, "ended the session of %s on %s", session.Email, session.Node)
}

type sessionSetStatus struct {
	Email  emailArg `arg:"" help:"Whose status."`
	Status string   `arg:"" enum:"NLN,BSY,IDL,BRB,AWY,PHN,LUN,HDN" help:"NLN, BSY, IDL, BRB, AWY, PHN, LUN or HDN, which hides the user."`
}

// Run changes one user's status.
func (c *sessionSetStatus) Run(ctx context.Context, a *app) error {
	var session api.Session
	if err := a.call(ctx, http.MethodPut, nil, api.StatusChange{Status: c.Status}, &session, "sessions", string(c.Email), "status"); err != nil {
		return fmt.Errorf("set the status of %s: %w", c.Email, err)
	}
	return a.say(session, "told %s to make %s %s", session.Node, session.Email, c.Status)
}
