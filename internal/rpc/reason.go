package rpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// domain is that of the ErrorInfo of a refusal.
const domain = "directory.monarch"

// prefix is left out of a reason's name on the wire.
const prefix = "REASON_"

// statusCodes is the gRPC code of each reason, for tools and dashboards that
// know no reasons. None of them is a code that gRPC itself makes of a broken
// transport, so a refusal is never retried.
var statusCodes = map[directoryv1.Reason]codes.Code{
	// Not Unauthenticated, which is what a wrong token gets.
	directoryv1.Reason_REASON_AUTHENTICATION:  codes.PermissionDenied,
	directoryv1.Reason_REASON_DISABLED:        codes.PermissionDenied,
	directoryv1.Reason_REASON_NO_SUCH_USER:    codes.NotFound,
	directoryv1.Reason_REASON_LIST_FULL:       codes.ResourceExhausted,
	directoryv1.Reason_REASON_ALREADY_THERE:   codes.AlreadyExists,
	directoryv1.Reason_REASON_NOT_ON_LIST:     codes.NotFound,
	directoryv1.Reason_REASON_OPPOSITE_LIST:   codes.FailedPrecondition,
	directoryv1.Reason_REASON_NO_SUCH_GROUP:   codes.NotFound,
	directoryv1.Reason_REASON_NOT_IN_GROUP:    codes.NotFound,
	directoryv1.Reason_REASON_OVERTAKEN:       codes.Aborted,
	directoryv1.Reason_REASON_TOO_MANY_GROUPS: codes.ResourceExhausted,
	directoryv1.Reason_REASON_GROUP_ZERO:      codes.FailedPrecondition,
	directoryv1.Reason_REASON_ALREADY_IN_MODE: codes.FailedPrecondition,
	directoryv1.Reason_REASON_UNVERIFIED:      codes.FailedPrecondition,
	directoryv1.Reason_REASON_EXISTS:          codes.AlreadyExists,
	directoryv1.Reason_REASON_INVALID:         codes.InvalidArgument,
}

// Refuse returns the error by which a handler refuses a call: a gRPC status
// that carries reason for programs and msg for people.
func Refuse(reason directoryv1.Reason, msg string) error {
	code, ok := statusCodes[reason]
	if !ok {
		return status.Error(codes.Internal, msg)
	}
	st, err := status.New(code, msg).WithDetails(&errdetails.ErrorInfo{
		Reason: strings.TrimPrefix(reason.String(), prefix),
		Domain: domain,
	})
	if err != nil { // only for code OK
		return status.Error(codes.Internal, msg)
	}
	return st.Err()
}

// Reason returns why the directory refused a call, or REASON_UNSPECIFIED where
// err, which may be nil or wrapped, is no refusal or has a reason from a later
// release.
func Reason(err error) directoryv1.Reason {
	if err == nil {
		return directoryv1.Reason_REASON_UNSPECIFIED
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return directoryv1.Reason(directoryv1.Reason_value[prefix+info.GetReason()])
		}
	}
	return directoryv1.Reason_REASON_UNSPECIFIED
}

// Unavailable reports whether err, which may be wrapped, says that the server
// could not be reached or did not answer in time. Whether the call had an
// effect is then unknown.
func Unavailable(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	}
	return false
}
