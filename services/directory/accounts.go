package directory

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// CreateAccounts creates accounts. What the operator creates counts as
// verified.
func (s *Server) CreateAccounts(ctx context.Context, r *directoryv1.CreateAccountsRequest) (*directoryv1.CreateAccountsResponse, error) {
	return call(ctx, s, accounts, "CreateAccounts", func(ctx context.Context) (*directoryv1.CreateAccountsResponse, error) {
		if n := len(r.GetAccounts()); n > maxBatch {
			return nil, invalid("accounts has %d entries, at most %d are allowed", n, maxBatch)
		}
		var rows rowErrors
		var accounts []store.NewAccount
		var index []int // of each account in the request
		for i, a := range r.GetAccounts() {
			account, err := newAccount(a)
			if err != nil {
				rows.add(i, err)
				continue
			}
			accounts = append(accounts, account)
			index = append(index, i)
		}
		taken, err := s.store.CreateAccounts(ctx, accounts)
		if err != nil {
			return nil, err
		}
		for _, at := range taken {
			rows.add(index[at], &store.Refusal{
				Reason:  directoryv1.Reason_REASON_EXISTS,
				Message: "the account " + accounts[at].Email + " exists already",
			})
		}
		return &directoryv1.CreateAccountsResponse{
			Created: uint32(len(accounts) - len(taken)),
			Errors:  rows.sorted(),
		}, nil
	})
}

func newAccount(a *directoryv1.NewAccount) (store.NewAccount, error) {
	address, err := email("email", a.GetEmail())
	if err != nil {
		return store.NewAccount{}, err
	}
	if err := password(a.GetPassword()); err != nil {
		return store.NewAccount{}, err
	}
	friendly, err := plainName("name", cmp.Or(a.GetName(), address), msnp.MaxNick)
	if err != nil {
		return store.NewAccount{}, err
	}
	return store.NewAccount{Email: address, Password: a.GetPassword(), Name: friendly, Verified: true}, nil
}

// ImportContacts adds contacts to FL and AL of their owners.
func (s *Server) ImportContacts(ctx context.Context, r *directoryv1.ImportContactsRequest) (*directoryv1.ImportContactsResponse, error) {
	return call(ctx, s, accounts, "ImportContacts", func(ctx context.Context) (*directoryv1.ImportContactsResponse, error) {
		if n := len(r.GetContacts()); n > maxBatch {
			return nil, invalid("contacts has %d entries, at most %d are allowed", n, maxBatch)
		}
		var rows rowErrors
		var contacts []*directoryv1.NewContact
		var index []int
		for i, c := range r.GetContacts() {
			if err := checkContact(c); err != nil {
				rows.add(i, err)
				continue
			}
			contacts = append(contacts, c)
			index = append(index, i)
		}
		answer, err := s.store.ImportContacts(ctx, s.limits, contacts)
		if err != nil {
			return nil, err
		}
		for _, e := range answer.GetErrors() {
			e.Row = uint32(index[e.GetRow()])
			rows = append(rows, e)
		}
		answer.Errors = rows.sorted()
		return answer, nil
	})
}

// checkContact makes the emails of a row canonical.
func checkContact(c *directoryv1.NewContact) (err error) {
	if c.Owner, err = email("owner", c.GetOwner()); err != nil {
		return err
	}
	if c.Contact, err = email("contact", c.GetContact()); err != nil {
		return err
	}
	_, err = plainName("group", c.GetGroup(), msnp.MaxGroupName)
	return err
}

// rowErrors gathers what was wrong with rows of a batch.
type rowErrors []*directoryv1.RowError

func (e *rowErrors) add(row int, err error) {
	reason := directoryv1.Reason_REASON_INVALID
	var refusal *store.Refusal
	if errors.As(err, &refusal) {
		reason = refusal.Reason
	}
	*e = append(*e, &directoryv1.RowError{Row: uint32(row), Reason: reason, Message: err.Error()})
}

func (e rowErrors) sorted() []*directoryv1.RowError {
	slices.SortFunc(e, func(a, b *directoryv1.RowError) int { return cmp.Compare(a.GetRow(), b.GetRow()) })
	return e
}

// GetAccount reads one account and its lists.
func (s *Server) GetAccount(ctx context.Context, r *directoryv1.GetAccountRequest) (*directoryv1.GetAccountResponse, error) {
	return call(ctx, s, accounts, "GetAccount", func(ctx context.Context) (*directoryv1.GetAccountResponse, error) {
		address, err := email("email", r.GetEmail())
		if err != nil {
			return nil, err
		}
		account, snapshot, err := s.store.Account(ctx, address)
		if err != nil {
			return nil, err
		}
		return &directoryv1.GetAccountResponse{Account: account, Snapshot: snapshot}, nil
	})
}

// ListAccounts pages through all accounts. A page that is not full is the last.
func (s *Server) ListAccounts(ctx context.Context, r *directoryv1.ListAccountsRequest) (*directoryv1.ListAccountsResponse, error) {
	return call(ctx, s, accounts, "ListAccounts", func(ctx context.Context) (*directoryv1.ListAccountsResponse, error) {
		size := cmp.Or(int(r.GetPageSize()), defaultPage)
		if size > maxPage {
			return nil, invalid("page_size must be at most %d, not %d", maxPage, size)
		}
		after := r.GetAfter()
		if after != "" {
			var err error
			if after, err = email("after", after); err != nil {
				return nil, err
			}
		}
		accounts, err := s.store.Accounts(ctx, after, size)
		if err != nil {
			return nil, err
		}
		return &directoryv1.ListAccountsResponse{Accounts: accounts}, nil
	})
}

// DeleteAccount removes a user from everywhere.
func (s *Server) DeleteAccount(ctx context.Context, r *directoryv1.DeleteAccountRequest) (*directoryv1.DeleteAccountResponse, error) {
	return call(ctx, s, accounts, "DeleteAccount", func(ctx context.Context) (*directoryv1.DeleteAccountResponse, error) {
		address, err := email("email", r.GetEmail())
		if err != nil {
			return nil, err
		}
		touched, err := s.store.DeleteAccount(ctx, address)
		if err != nil {
			return nil, err
		}
		return &directoryv1.DeleteAccountResponse{Touched: touched}, nil
	})
}

// SetDisabled says whether an account may log in. A session that it has goes
// on; to end it is for the caller.
func (s *Server) SetDisabled(ctx context.Context, r *directoryv1.SetDisabledRequest) (*directoryv1.SetDisabledResponse, error) {
	return call(ctx, s, accounts, "SetDisabled", func(ctx context.Context) (*directoryv1.SetDisabledResponse, error) {
		address, err := email("email", r.GetEmail())
		if err != nil {
			return nil, err
		}
		return &directoryv1.SetDisabledResponse{}, s.store.SetDisabled(ctx, address, r.GetDisabled())
	})
}

// SetPassword replaces a password. A session that the account has goes on.
func (s *Server) SetPassword(ctx context.Context, r *directoryv1.SetPasswordRequest) (*directoryv1.SetPasswordResponse, error) {
	return call(ctx, s, accounts, "SetPassword", func(ctx context.Context) (*directoryv1.SetPasswordResponse, error) {
		address, err := email("email", r.GetEmail())
		if err != nil {
			return nil, err
		}
		if err := password(r.GetPassword()); err != nil {
			return nil, err
		}
		return &directoryv1.SetPasswordResponse{}, s.store.SetPassword(ctx, address, r.GetPassword())
	})
}
