package operator

import (
	"net/http"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// importContacts adds a batch of contacts, each as if its owner had added it,
// and lets owners and contacts who are online know.
func (s *Service) importContacts(r *http.Request) (any, error) {
	var body api.ContactBatch
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	if err := checkRows(len(body.Contacts)); err != nil {
		return nil, err
	}
	req := &directoryv1.ImportContactsRequest{Contacts: make([]*directoryv1.NewContact, len(body.Contacts))}
	for i, c := range body.Contacts {
		req.Contacts[i] = &directoryv1.NewContact{Owner: c.Owner, Contact: c.Contact, Group: c.Group}
	}
	resp, err := s.accounts.ImportContacts(r.Context(), req)
	if err != nil {
		return nil, directoryError(err, "import contacts")
	}
	s.tellTouched(r.Context(), "", resp.GetTouched())
	return api.BatchResult{Done: int(resp.GetImported()), Errors: rowErrors(resp.GetErrors())}, nil
}
