package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/services/operator/api"
)

type userCommands struct {
	Create      userCreate      `cmd:"" help:"Create one account."`
	Import      userImport      `cmd:"" help:"Create accounts from a CSV file with lines email,password,name."`
	List        userList        `cmd:"" help:"List all accounts."`
	Show        userShow        `cmd:"" help:"Show one account with groups and contacts."`
	Delete      userDelete      `cmd:"" help:"Delete an account for good, also from everybody's lists."`
	Disable     userDisable     `cmd:"" help:"Refuse a user further logins and end the session."`
	Enable      userEnable      `cmd:"" help:"Let a disabled user log in again."`
	SetPassword userSetPassword `cmd:"" help:"Give a user a new password."`
}

type userCreate struct {
	Email         emailArg `arg:"" help:"Email, which is the sign-in name."`
	Name          string   `help:"Friendly name; the email if left out."`
	PasswordStdin bool     `required:"" help:"Read the password from standard input."`
}

// Run creates one account.
func (c *userCreate) Run(ctx context.Context, a *app) error {
	password, err := a.readPassword(ctx, string(c.Email))
	if err != nil {
		return err
	}
	var account api.Account
	body := api.NewAccount{Email: string(c.Email), Password: password, Name: c.Name}
	if err := a.call(ctx, http.MethodPost, nil, body, &account, "accounts"); err != nil {
		return fmt.Errorf("create %s: %w", c.Email, err)
	}
	return a.say(account, "created %s", account.Email)
}

type userImport struct {
	File string `arg:"" help:"CSV file, UTF-8, one email,password,name a line; - is standard input."`
}

// Run imports a file of accounts.
func (c *userImport) Run(ctx context.Context, a *app) error {
	i := importer[api.NewAccount]{
		noun:    "accounts",
		done:    "created",
		header:  "email",
		already: api.ReasonExists,
		parse:   parseAccount,
		// Rows of one email stay in order, so that of two the first wins.
		key:   func(row api.NewAccount) string { return row.Email },
		label: func(row api.NewAccount) string { return row.Email },
		send: func(ctx context.Context, rows []api.NewAccount) (result api.BatchResult, err error) {
			err = a.call(ctx, http.MethodPost, nil, api.AccountBatch{Accounts: rows}, &result, "accounts", "batch")
			return result, err
		},
	}
	return i.run(ctx, a, c.File)
}

// parseAccount tolerates a line without a name, as lists of accounts for
// other tools have it.
func parseAccount(fields []string) (api.NewAccount, error) {
	row := api.NewAccount{Email: strings.TrimSpace(fields[0])}
	if n := len(fields); n < 2 || n > 3 {
		return row, wrongCount(n, "email,password,name")
	}
	row.Password = fields[1]
	if len(fields) == 3 {
		row.Name = strings.TrimSpace(fields[2])
	}
	switch {
	case row.Email == "":
		return row, errors.New("the email is empty")
	case row.Password == "":
		return row, errors.New("the password is empty")
	}
	return row, nil
}

type userList struct{}

// Run lists all accounts, page by page.
func (c *userList) Run(ctx context.Context, a *app) error {
	l := a.newList("EMAIL", "ID", "STATE", "CREATED", "NAME")
	for after := ""; ; {
		var page api.AccountPage
		query := url.Values{"limit": {strconv.Itoa(api.MaxPage)}, "after": {after}}
		if err := a.call(ctx, http.MethodGet, query, nil, &page, "accounts"); err != nil {
			return fmt.Errorf("list accounts: %w", err)
		}
		for _, account := range page.Accounts {
			l.row(account, account.Email, strconv.FormatUint(account.UserID, 10), stateOf(account),
				account.Created.Local().Format(time.DateOnly), account.Name)
		}
		if page.Next == "" {
			return l.end("there are no accounts yet (monarchctl user create EMAIL --password-stdin makes one)")
		}
		after = page.Next
	}
}

type userShow struct {
	Email emailArg `arg:"" help:"Whose account."`
}

// Run shows one account.
func (c *userShow) Run(ctx context.Context, a *app) error {
	var user api.AccountDetail
	if err := a.call(ctx, http.MethodGet, nil, nil, &user, "accounts", string(c.Email)); err != nil {
		return fmt.Errorf("show %s: %w", c.Email, err)
	}
	if a.json {
		return printJSON(a.out, user)
	}
	facts := a.newList()
	for _, fact := range [][2]string{
		{"email", user.Email},
		{"name", user.Name},
		{"id", strconv.FormatUint(user.UserID, 10)},
		{"state", stateOf(user.Account)},
		{"verified", strconv.FormatBool(user.Verified)},
		{"created", user.Created.Local().Format(time.DateTime)},
		{"list version", strconv.FormatUint(uint64(user.Version), 10)},
		{"others are", map[string]string{"AL": "allowed", "BL": "blocked"}[user.Privacy]},
	} {
		facts.row(nil, fact[0], fact[1])
	}
	if err := facts.end(""); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	groups := make(map[uint32]string, len(user.Groups))
	for _, g := range user.Groups {
		groups[g.ID] = g.Name
	}
	contacts := a.newList("CONTACT", "LISTS", "GROUPS", "NAME")
	for _, contact := range user.Contacts {
		names := make([]string, 0, len(contact.Groups))
		for _, id := range contact.Groups {
			names = append(names, groups[id])
		}
		contacts.row(nil, contact.Email, strings.Join(contact.Lists, ","), strings.Join(names, ", "), contact.Name)
	}
	return contacts.end("no contacts")
}

type userDelete struct {
	Email emailArg `arg:"" help:"Whose account."`
}

// Run deletes one account.
func (c *userDelete) Run(ctx context.Context, a *app) error {
	return a.change(ctx, http.MethodDelete, string(c.Email), "delete", "deleted")
}

type userDisable struct {
	Email emailArg `arg:"" help:"Whose account."`
}

// Run disables one account.
func (c *userDisable) Run(ctx context.Context, a *app) error {
	return a.change(ctx, http.MethodPost, string(c.Email), "disable", "disabled", "disable")
}

type userEnable struct {
	Email emailArg `arg:"" help:"Whose account."`
}

// Run enables one account.
func (c *userEnable) Run(ctx context.Context, a *app) error {
	return a.change(ctx, http.MethodPost, string(c.Email), "enable", "enabled", "enable")
}

// change carries out what is answered with an api.Change.
func (a *app) change(ctx context.Context, method, email, doing, done string, path ...string) error {
	var change api.Change
	err := a.call(ctx, method, nil, nil, &change, append([]string{"accounts", email}, path...)...)
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, email, err)
	}
	if change.Warning != "" {
		fmt.Fprintf(a.err, "monarchctl: warning: %s\n", printable(change.Warning))
	}
	session := ""
	if change.SessionClosed {
		session = ", and the live session was ended"
	}
	return a.say(change, "%s %s%s", done, change.Email, session)
}

type userSetPassword struct {
	Email         emailArg `arg:"" help:"Whose account."`
	PasswordStdin bool     `required:"" help:"Read the password from standard input."`
}

// Run sets a password.
func (c *userSetPassword) Run(ctx context.Context, a *app) error {
	password, err := a.readPassword(ctx, string(c.Email))
	if err != nil {
		return err
	}
	err = a.call(ctx, http.MethodPut, nil, api.Password{Password: password}, nil, "accounts", string(c.Email), "password")
	if err != nil {
		return fmt.Errorf("set password of %s: %w", c.Email, err)
	}
	return a.say(api.Change{Email: string(c.Email)}, "set the password of %s", c.Email)
}

func stateOf(account api.Account) string {
	if account.Disabled {
		return "disabled"
	}
	return "active"
}
