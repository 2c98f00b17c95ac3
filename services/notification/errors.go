package notification

import (
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// refusals is the one table from the directory's reasons to the protocol's
// codes. A reason that is not in it is a fault.
var refusals = map[directoryv1.Reason]msnp.Code{
	directoryv1.Reason_REASON_NO_SUCH_USER:    msnp.CodeInvalidUser,
	directoryv1.Reason_REASON_LIST_FULL:       msnp.CodeListFull,
	directoryv1.Reason_REASON_ALREADY_THERE:   msnp.CodeAlreadyThere,
	directoryv1.Reason_REASON_NOT_ON_LIST:     msnp.CodeNotOnList,
	directoryv1.Reason_REASON_OPPOSITE_LIST:   msnp.CodeOppositeList,
	directoryv1.Reason_REASON_NO_SUCH_GROUP:   msnp.CodeNoSuchGroup,
	directoryv1.Reason_REASON_NOT_IN_GROUP:    msnp.CodeNotInGroup,
	directoryv1.Reason_REASON_TOO_MANY_GROUPS: msnp.CodeTooManyGroups,
	directoryv1.Reason_REASON_GROUP_ZERO:      msnp.CodeGroupZero,
	directoryv1.Reason_REASON_ALREADY_IN_MODE: msnp.CodeAlreadyInMode,
	directoryv1.Reason_REASON_UNVERIFIED:      msnp.CodeInvalidNick,
}

// loginCode is the answer to a login that did not succeed. Whatever the
// directory has against the account, the client learns no more than that. Where
// directory or Redis cannot be asked the server is busy, and the client may try
// again.
func (s *session) loginCode(err error) msnp.Code {
	if reason := rpc.Reason(err); reason != directoryv1.Reason_REASON_UNSPECIFIED {
		s.Log().Info("login refused", "email", s.email, "reason", reason)
		return msnp.CodeAuthentication
	}
	s.Log().Warn("login failed", "email", s.email, "error", err)
	return msnp.CodeBusy
}

// refusedEdit turns the error of an edit into what the handler returns. Where
// the directory gave no reason the outcome is unknown, so the lists are read
// again before anything is decided by them.
func (s *session) refusedEdit(err error) error {
	reason := rpc.Reason(err)
	if code, ok := refusals[reason]; ok {
		return code
	}
	if reason == directoryv1.Reason_REASON_OVERTAKEN {
		// The user is at work in another session, and this one is about to end.
		s.doubt()
		return msnp.CodeInternal
	}
	s.doubt()
	return err
}
