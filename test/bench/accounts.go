package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// contactsEach is how many contacts everybody has: half of them before him in a
// ring and half behind. So everybody is on the lists of those on his own.
const contactsEach = 20

// A crowd is so many accounts in a ring.
type crowd struct {
	name string
	size int
}

func (c crowd) email(i int) string { return fmt.Sprintf("%s%d@example.com", c.name, (i+c.size)%c.size) }

// file is where the accounts are for monarchload.
func (c crowd) file(dir string) string { return filepath.Join(dir, c.name+".csv") }

// The files of all accounts, for the import and for the stub.
const (
	accountsFile = "accounts.csv" // email,password,name
	contactsFile = "contacts.csv" // owner,contact
)

// writeAccounts writes all files.
func writeAccounts(dir string, crowds ...crowd) error {
	accounts := func(w *bufio.Writer, c crowd) {
		for i := range c.size {
			fmt.Fprintf(w, "%s,secret%d,User%%20%[2]d\n", c.email(i), i)
		}
	}
	for _, c := range crowds {
		if err := writeFile(c.file(dir), func(w *bufio.Writer) { accounts(w, c) }); err != nil {
			return err
		}
	}
	err := writeFile(filepath.Join(dir, accountsFile), func(w *bufio.Writer) {
		for _, c := range crowds {
			accounts(w, c)
		}
	})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, contactsFile), func(w *bufio.Writer) {
		for _, c := range crowds {
			for i := range c.size {
				for d := 1; d <= contactsEach/2; d++ {
					fmt.Fprintf(w, "%s,%s\n%[1]s,%[3]s\n", c.email(i), c.email(i-d), c.email(i+d))
				}
			}
		}
	})
}

func writeFile(name string, write func(*bufio.Writer)) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	write(w)
	if err := w.Flush(); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}
