package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"sync"
)

// account is a user. What stands above mu never changes.
type account struct {
	email, name string
	contacts    []*account // who are on all lists of this one, and have it on theirs

	mu     sync.Mutex
	status string // "" is offline
	conn   *conn  // nil if offline
}

// set changes the status, that of a user who is offline to "".
func (a *account) set(status string, c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.conn = status, c
}

// get returns status and connection.
func (a *account) get() (status string, c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status, a.conn
}

// readAccounts reads the files that monarchctl imports.
func readAccounts(accounts, contacts string) (map[string]*account, error) {
	rows, err := readCSV(accounts, 3)
	if err != nil {
		return nil, err
	}
	table := make(map[string]*account, len(rows))
	for _, r := range rows {
		table[r[0]] = &account{email: r[0], name: r[2]}
	}
	if rows, err = readCSV(contacts, 2); err != nil {
		return nil, err
	}
	for _, r := range rows {
		owner, contact := table[r[0]], table[r[1]]
		if owner == nil || contact == nil {
			return nil, fmt.Errorf("read %s: %s and %s are not both accounts", contacts, r[0], r[1])
		}
		owner.contacts = append(owner.contacts, contact)
	}
	return table, nil
}

func readCSV(file string, fields int) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = fields
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return rows, nil
}
