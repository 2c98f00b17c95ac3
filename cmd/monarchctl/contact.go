package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type contactCommands struct {
	Import contactImport `cmd:"" help:"Add contacts from a CSV file with lines owner,contact[,group]."`
}

type contactImport struct {
	File string `arg:"" help:"CSV file, UTF-8, one owner,contact[,group] a line; - is standard input."`
}

// Run imports a file of contacts.
func (c *contactImport) Run(ctx context.Context, a *app) error {
	i := importer[api.NewContact]{
		noun:    "contacts",
		done:    "added",
		header:  "owner",
		already: api.ReasonAlreadyThere,
		parse:   parseContact,
		// One owner's rows stay in order: it is the order of the groups.
		key:   func(row api.NewContact) string { return row.Owner },
		label: contactLabel,
		send: func(ctx context.Context, rows []api.NewContact) (result api.BatchResult, err error) {
			err = a.call(ctx, http.MethodPost, nil, api.ContactBatch{Contacts: rows}, &result, "contacts", "batch")
			return result, err
		},
	}
	return i.run(ctx, a, c.File)
}

func parseContact(fields []string) (api.NewContact, error) {
	row := api.NewContact{Owner: strings.TrimSpace(fields[0])}
	if n := len(fields); n < 2 || n > 3 {
		return row, wrongCount(n, "owner,contact[,group]")
	}
	row.Contact = strings.TrimSpace(fields[1])
	if len(fields) == 3 {
		row.Group = strings.TrimSpace(fields[2])
	}
	switch {
	case row.Owner == "":
		return row, errors.New("the owner is empty")
	case row.Contact == "":
		return row, errors.New("the contact is empty")
	}
	return row, nil
}

func contactLabel(row api.NewContact) string {
	if row.Owner == "" || row.Contact == "" {
		return row.Owner + row.Contact
	}
	return row.Owner + " → " + row.Contact
}
