package operator

import (
	"context"
	"net/http"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// getSession answers with the place where one user is logged in.
func (s *Service) getSession(r *http.Request) (any, error) {
	session, err := s.findSession(r)
	if err != nil {
		return nil, err
	}
	return sessionOf(session), nil
}

// kickSession ends a user's session. The user may log in again.
func (s *Service) kickSession(r *http.Request) (any, error) {
	session, err := s.findSession(r)
	if err != nil {
		return nil, err
	}
	if err := s.sendClose(r.Context(), session); err != nil {
		return nil, clusterError(err, "end session")
	}
	return sessionOf(session), nil
}

func (s *Service) findSession(r *http.Request) (*clusterv1.Session, error) {
	email, err := pathEmail(r)
	if err != nil {
		return nil, err
	}
	return s.lookUp(r.Context(), email)
}

// lookUp returns where a user is logged in, or a refusal.
func (s *Service) lookUp(ctx context.Context, email string) (*clusterv1.Session, error) {
	found, err := s.cluster.Lookup(ctx, []string{email})
	if err != nil {
		return nil, clusterError(err, "look up session")
	}
	session := found[email]
	if session == nil {
		return nil, refuse(http.StatusNotFound, "%s is not logged in", email)
	}
	return session, nil
}

func sessionOf(session *clusterv1.Session) api.Session {
	return api.Session{
		Email:   session.GetEmail(),
		ID:      session.GetId(),
		Node:    session.GetNode(),
		Dialect: session.GetDialect(),
	}
}
