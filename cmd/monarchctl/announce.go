package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type announce struct {
	Text    string   `arg:"" optional:"" help:"What to say. Clients of MSNP5 and later show it, older ones can show the minutes alone."`
	Minutes uint32   `help:"Say that the network goes down in so many minutes, which clients of all versions show."`
	To      emailArg `name:"to" placeholder:"EMAIL" help:"Tell this user alone."`
}

// Run makes an announcement.
func (c *announce) Run(ctx context.Context, a *app) error {
	if c.Text == "" && c.Minutes == 0 {
		return usageError{errors.New("announce wants a text, or --minutes, or both")}
	}
	var told api.Announced
	err := a.call(ctx, http.MethodPost, nil, api.Announcement{Email: string(c.To), Text: c.Text, Minutes: c.Minutes}, &told, "announcements")
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if c.To != "" {
		return a.say(told, "told %s", c.To)
	}
	return a.say(told, "told %d sessions on %d nodes", told.Sessions, told.Nodes)
}
