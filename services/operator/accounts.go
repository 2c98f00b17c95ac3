package operator

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// listAccounts answers one page: ?limit= rows (100, at most api.MaxPage) after
// the email ?after=.
func (s *Service) listAccounts(r *http.Request) (any, error) {
	query := r.URL.Query()
	limit, err := pageSize(query)
	if err != nil {
		return nil, err
	}
	resp, err := s.accounts.ListAccounts(r.Context(), &directoryv1.ListAccountsRequest{
		PageSize: limit,
		After:    query.Get("after"),
	})
	if err != nil {
		return nil, directoryError(err, "list accounts")
	}
	page := api.AccountPage{Accounts: make([]api.Account, 0, len(resp.GetAccounts()))}
	for _, a := range resp.GetAccounts() {
		page.Accounts = append(page.Accounts, accountOf(a))
	}
	// A page that is not full is the last one.
	if n := len(page.Accounts); n == int(limit) {
		page.Next = page.Accounts[n-1].Email
	}
	return page, nil
}

func pageSize(query url.Values) (uint32, error) {
	text := query.Get("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > api.MaxPage {
		return 0, refuse(http.StatusBadRequest, "limit is a number from 1 to %d, not %q", api.MaxPage, text)
	}
	return uint32(n), nil
}

// createAccount creates one account and answers with it.
func (s *Service) createAccount(r *http.Request) (any, error) {
	var body api.NewAccount
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	resp, err := s.accounts.CreateAccounts(r.Context(), &directoryv1.CreateAccountsRequest{
		Accounts: []*directoryv1.NewAccount{newAccount(body)},
	})
	if err != nil {
		return nil, directoryError(err, "create account")
	}
	for _, e := range resp.GetErrors() {
		return nil, rowRefused(e)
	}
	detail, err := s.accounts.GetAccount(r.Context(), &directoryv1.GetAccountRequest{Email: body.Email})
	if err != nil {
		return nil, directoryError(err, "read the account just created")
	}
	return accountOf(detail.GetAccount()), nil
}

// createAccounts creates a batch of accounts, each by itself.
func (s *Service) createAccounts(r *http.Request) (any, error) {
	var body api.AccountBatch
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	if err := checkRows(len(body.Accounts)); err != nil {
		return nil, err
	}
	req := &directoryv1.CreateAccountsRequest{Accounts: make([]*directoryv1.NewAccount, len(body.Accounts))}
	for i, a := range body.Accounts {
		req.Accounts[i] = newAccount(a)
	}
	resp, err := s.accounts.CreateAccounts(r.Context(), req)
	if err != nil {
		return nil, directoryError(err, "create accounts")
	}
	return api.BatchResult{Done: int(resp.GetCreated()), Errors: rowErrors(resp.GetErrors())}, nil
}

// getAccount answers with one user, groups and lists.
func (s *Service) getAccount(r *http.Request) (any, error) {
	resp, err := s.accounts.GetAccount(r.Context(), &directoryv1.GetAccountRequest{Email: r.PathValue("email")})
	if err != nil {
		return nil, directoryError(err, "read account")
	}
	return detailOf(resp), nil
}

// deleteAccount deletes a user, ends the live session, and lets everybody
// know from whose lists the user disappeared.
func (s *Service) deleteAccount(r *http.Request) (any, error) {
	email, err := pathEmail(r)
	if err != nil {
		return nil, err
	}
	resp, err := s.accounts.DeleteAccount(r.Context(), &directoryv1.DeleteAccountRequest{Email: email})
	if err != nil {
		return nil, directoryError(err, "delete account")
	}
	change := s.endSession(r.Context(), email)
	s.tellTouched(r.Context(), email, resp.GetTouched())
	return change, nil
}

// disableAccount refuses a user further logins and ends the live session.
func (s *Service) disableAccount(r *http.Request) (any, error) {
	email, err := s.setDisabled(r, true)
	if err != nil {
		return nil, err
	}
	return s.endSession(r.Context(), email), nil
}

// enableAccount lets a disabled user log in again.
func (s *Service) enableAccount(r *http.Request) (any, error) {
	email, err := s.setDisabled(r, false)
	if err != nil {
		return nil, err
	}
	return api.Change{Email: email}, nil
}

func (s *Service) setDisabled(r *http.Request, disabled bool) (email string, err error) {
	email, err = pathEmail(r)
	if err != nil {
		return "", err
	}
	_, err = s.accounts.SetDisabled(r.Context(), &directoryv1.SetDisabledRequest{Email: email, Disabled: disabled})
	if err != nil {
		return "", directoryError(err, "set whether the account is disabled")
	}
	return email, nil
}

// setPassword gives a user a new password. A live session goes on: it has
// proved that it knew the old one.
func (s *Service) setPassword(r *http.Request) (any, error) {
	var body api.Password
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	_, err := s.accounts.SetPassword(r.Context(), &directoryv1.SetPasswordRequest{
		Email:    r.PathValue("email"),
		Password: body.Password,
	})
	if err != nil {
		return nil, directoryError(err, "set password")
	}
	return nil, nil
}

// pathEmail reads the canonical email out of the request's path. Records of
// sessions are found by no other spelling.
func pathEmail(r *http.Request) (string, error) {
	email, err := msnp.ParseEmail([]byte(r.PathValue("email")))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "%q is not an email address", r.PathValue("email"))
	}
	return email.String(), nil
}

// checkRows bounds a batch.
func checkRows(n int) error {
	if n < 1 || n > api.MaxRows {
		return refuse(http.StatusBadRequest, "a batch holds from 1 to %d rows, not %d", api.MaxRows, n)
	}
	return nil
}

func newAccount(a api.NewAccount) *directoryv1.NewAccount {
	return &directoryv1.NewAccount{Email: a.Email, Password: a.Password, Name: a.Name}
}

// rowRefused is the refusal of a request that was a batch of one.
func rowRefused(e *directoryv1.RowError) error {
	code, ok := reasonStatus[e.GetReason()]
	if !ok {
		code = http.StatusConflict
	}
	return &refusal{status: code, body: api.Error{Error: e.GetMessage(), Reason: reasonName(e.GetReason())}}
}

func rowErrors(errs []*directoryv1.RowError) []api.RowError {
	rows := make([]api.RowError, 0, len(errs))
	for _, e := range errs {
		rows = append(rows, api.RowError{Row: int(e.GetRow()), Reason: reasonName(e.GetReason()), Error: e.GetMessage()})
	}
	return rows
}

func accountOf(a *directoryv1.Account) api.Account {
	return api.Account{
		Email:    a.GetEmail(),
		UserID:   a.GetUserId(),
		Name:     a.GetName(),
		Verified: a.GetVerified(),
		Disabled: a.GetDisabled(),
		Version:  a.GetVersion(),
		Created:  time.Unix(a.GetCreated(), 0).UTC(),
	}
}

// detailOf decodes the names of a snapshot, which are kept as clients sent
// them.
func detailOf(resp *directoryv1.GetAccountResponse) api.AccountDetail {
	snapshot := resp.GetSnapshot()
	detail := api.AccountDetail{
		Account:  accountOf(resp.GetAccount()),
		Privacy:  "BL",
		Groups:   make([]api.Group, 0, len(snapshot.GetGroups())),
		Contacts: make([]api.Contact, 0, len(snapshot.GetMembers())),
	}
	if snapshot.GetBlpAllow() {
		detail.Privacy = "AL"
	}
	for _, g := range snapshot.GetGroups() {
		detail.Groups = append(detail.Groups, api.Group{ID: g.GetId(), Name: msnp.Nick(g.GetName()).Decode()})
	}
	for _, m := range snapshot.GetMembers() {
		detail.Contacts = append(detail.Contacts, contactOf(m))
	}
	return detail
}

func contactOf(m *directoryv1.Member) api.Contact {
	contact := api.Contact{Email: m.GetEmail(), Name: memberName(m), Lists: []string{}, Groups: []uint32{}}
	lists := msnp.List(m.GetLists())
	for _, list := range []msnp.List{msnp.FL, msnp.AL, msnp.BL, msnp.RL} {
		if lists.Has(list) {
			contact.Lists = append(contact.Lists, list.String())
		}
	}
	for id := range uint32(32) {
		if m.GetGroups()&(1<<id) != 0 {
			contact.Groups = append(contact.Groups, id)
		}
	}
	return contact
}

// memberName is the first name that one of the user's lists has for a person,
// and for somebody on RL alone the person's own.
func memberName(m *directoryv1.Member) string {
	for _, name := range []string{m.GetForwardName(), m.GetAllowName(), m.GetBlockName(), m.GetFriendly()} {
		if name != "" {
			return msnp.Nick(name).Decode()
		}
	}
	return m.GetEmail()
}
