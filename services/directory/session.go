package directory

import (
	"context"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Login checks the answer to a challenge.
func (s *Server) Login(ctx context.Context, r *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
	return call(ctx, s, logins, "Login", func(ctx context.Context) (*directoryv1.LoginResponse, error) {
		if n := len(r.GetChallenge()); n == 0 || n > maxChallenge {
			return nil, invalid("challenge must be 1 to %d bytes, not %d", maxChallenge, n)
		}
		if n := len(r.GetResponse()); n != 16 {
			return nil, invalid("response must be 16 bytes, not %d", n)
		}
		// What is no address is an account that does not exist, and costs the
		// same work.
		e, _ := msnp.ParseEmail([]byte(r.GetEmail()))
		id, err := s.store.Login(ctx, e.String(), r.GetChallenge(), r.GetResponse())
		if err != nil {
			return nil, err
		}
		return &directoryv1.LoginResponse{UserId: uint64(id)}, nil
	})
}

// Snapshot reads everything a session needs, at one version.
func (s *Server) Snapshot(ctx context.Context, r *directoryv1.SnapshotRequest) (*directoryv1.SnapshotResponse, error) {
	return call(ctx, s, reads, "Snapshot", func(ctx context.Context) (*directoryv1.SnapshotResponse, error) {
		e, err := email("email", r.GetEmail())
		if err != nil {
			return nil, err
		}
		snapshot, err := s.store.Snapshot(ctx, e)
		if err != nil {
			return nil, err
		}
		return &directoryv1.SnapshotResponse{Snapshot: snapshot}, nil
	})
}

// Versions reads the list versions of many users. Unknown and disabled ones, and
// what is no address, are left out.
func (s *Server) Versions(ctx context.Context, r *directoryv1.VersionsRequest) (*directoryv1.VersionsResponse, error) {
	return call(ctx, s, reads, "Versions", func(ctx context.Context) (*directoryv1.VersionsResponse, error) {
		if n := len(r.GetEmails()); n > maxBatch {
			return nil, invalid("emails has %d entries, at most %d are allowed", n, maxBatch)
		}
		emails := make([]string, 0, len(r.GetEmails()))
		for _, text := range r.GetEmails() {
			if e, err := msnp.ParseEmail([]byte(text)); err == nil {
				emails = append(emails, e.String())
			}
		}
		versions, err := s.store.Versions(ctx, emails)
		if err != nil {
			return nil, err
		}
		return &directoryv1.VersionsResponse{Versions: versions}, nil
	})
}
