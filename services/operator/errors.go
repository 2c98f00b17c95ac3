package operator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// refusal is an answer other than success: a status, a sentence for the
// client, and for the log the fault behind it, if it is one.
type refusal struct {
	status int
	body   api.Error
	cause  error
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.body.Error + ": " + r.cause.Error()
	}
	return r.body.Error
}

func (r *refusal) Unwrap() error { return r.cause }

// refuse makes a refusal with a sentence for the client.
func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, body: api.Error{Error: fmt.Sprintf(format, args...)}}
}

// fault makes a refusal whose cause is for the log alone.
func fault(status int, cause error, format string, args ...any) error {
	return &refusal{status: status, body: api.Error{Error: fmt.Sprintf(format, args...)}, cause: cause}
}

// writeError answers with err and returns the status. An error that is no
// refusal is a fault of ours, of which the client learns nothing.
func writeError(w http.ResponseWriter, err error) int {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{
			status: http.StatusInternalServerError,
			body:   api.Error{Error: "the operator failed, its log says why"},
		}
	}
	writeJSON(w, r.status, r.body)
	return r.status
}

// reasonStatus is the HTTP status of each reason of the directory that the
// calls of this service can bring. Others are a conflict with what is stored.
var reasonStatus = map[directoryv1.Reason]int{
	directoryv1.Reason_REASON_NO_SUCH_USER: http.StatusNotFound,
	directoryv1.Reason_REASON_INVALID:      http.StatusBadRequest,
}

// directoryError turns the error of a call to the directory into a refusal.
// doing says what was attempted, for example "delete account".
func directoryError(err error, doing string) error {
	st := status.Convert(err)
	if reason := rpc.Reason(err); reason != directoryv1.Reason_REASON_UNSPECIFIED {
		code, ok := reasonStatus[reason]
		if !ok {
			code = http.StatusConflict
		}
		return &refusal{status: code, body: api.Error{Error: st.Message(), Reason: reasonName(reason)}}
	}
	err = fmt.Errorf("%s: %w", doing, err)
	switch {
	case st.Code() == codes.InvalidArgument:
		return &refusal{status: http.StatusBadRequest, body: api.Error{Error: st.Message()}}
	case st.Code() == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return fault(http.StatusGatewayTimeout, err, "the directory did not answer in time")
	case st.Code() == codes.Unavailable:
		return fault(http.StatusServiceUnavailable, err, "the directory or its database cannot be reached")
	case st.Code() == codes.Unauthenticated, st.Code() == codes.PermissionDenied:
		return fault(http.StatusBadGateway, err, "the directory refuses this operator (are the accounts tokens of both the same?)")
	default:
		return fault(http.StatusBadGateway, err, "the directory failed, its log says why")
	}
}

// clusterError turns the error of a call to the cluster's store into a
// refusal.
func clusterError(err error, doing string) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault(http.StatusGatewayTimeout, err, "Redis did not answer in time")
	}
	return fault(http.StatusServiceUnavailable, err, "Redis cannot be reached")
}

// reasonName is the name by which a reason travels, without the prefix.
func reasonName(r directoryv1.Reason) string {
	return strings.TrimPrefix(r.String(), "REASON_")
}
