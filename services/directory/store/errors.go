package store

import (
	"errors"
	"fmt"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// ErrUnreachable is a database that does not answer now and may do so later:
// waiting helps, which it does not for any other error of [Open]. Whether a
// change whose commit ended so took effect is unknown; it did as a whole or not
// at all.
var ErrUnreachable = errors.New("database unreachable")

// ErrFull is a change that the database had no space for. Nothing of it is
// left; reading goes on.
var ErrFull = errors.New("no space left for the database")

// errCommit is a commit that failed: unless the database said why, nobody knows
// whether it took effect.
var errCommit = errors.New("commit")

// errURL leaves out what was given: it may hold a password.
var errURL = errors.New("the database URL must be sqlite:///path/file.db or postgres://user:password@host/database")

// errStale ends a transaction whose plan was overtaken by another edit. It is
// begun anew.
var errStale = errors.New("the lists changed meanwhile")

// errMade ends the transaction of an edit that was made before.
var errMade = errors.New("the edit was made before")

// errBusy is an edit, or a reading of lists, that was overtaken too often.
var errBusy = errors.New("too many edits of the same users at once")

// A Refusal is what the rules of lists and accounts do not allow. Nothing was
// changed.
type Refusal struct {
	Reason  directoryv1.Reason
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func refuse(reason directoryv1.Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func noSuchUser(email string) *Refusal {
	return refuse(directoryv1.Reason_REASON_NO_SUCH_USER, "there is no account %s", email)
}
