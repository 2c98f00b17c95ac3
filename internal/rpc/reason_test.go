package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestEveryReasonArrives(t *testing.T) {
	var next directoryv1.Reason
	d := &directory{login: func(context.Context, *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		return nil, rpc.Refuse(next, "for the log")
	}}
	client := directoryv1.NewDirectoryClient(inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{}, d.register))
	for number := range directoryv1.Reason_name {
		reason := directoryv1.Reason(number)
		if reason == directoryv1.Reason_REASON_UNSPECIFIED {
			continue
		}
		next = reason
		_, err := client.Login(t.Context(), &directoryv1.LoginRequest{})
		err = fmt.Errorf("log in ann@example.com: %w", err)
		if got := rpc.Reason(err); got != reason {
			t.Errorf("want %v, got %v (%v)", reason, got, err)
		}
		if rpc.Unavailable(err) {
			t.Errorf("%v: a refusal counts as unavailable", reason)
		}
		switch code := status.Code(err); code {
		case codes.OK, codes.Unknown, codes.Internal, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unauthenticated:
			t.Errorf("%v: %v is what gRPC itself says of a fault", reason, code)
		}
		if got := status.Convert(errors.Unwrap(err)).Message(); got != "for the log" {
			t.Errorf("%v: message: want %q, got %q", reason, "for the log", got)
		}
	}
}

func TestErrorsWithoutAReason(t *testing.T) {
	foreign, err := status.New(codes.NotFound, "elsewhere").WithDetails(
		&errdetails.ErrorInfo{Domain: "googleapis.com", Reason: "NO_SUCH_USER"})
	if err != nil {
		t.Fatal(err)
	}
	later, err := status.New(codes.NotFound, "later").WithDetails(
		&errdetails.ErrorInfo{Domain: "directory.monarch", Reason: "INVENTED_LATER"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		err         error
		unavailable bool
	}{
		{"none", nil, false},
		{"an error that is not of gRPC", errors.New("disk full"), false},
		{"a deadline that passed before the call", fmt.Errorf("login: %w", context.DeadlineExceeded), true},
		{"a server that is away", status.Error(codes.Unavailable, "connection refused"), true},
		{"a wrapped deadline", fmt.Errorf("login: %w", status.Error(codes.DeadlineExceeded, "late")), true},
		{"a fault of the server", status.Error(codes.Internal, "panic"), false},
		{"a wrong token", status.Error(codes.Unauthenticated, "token"), false},
		{"a caller that gave up", status.Error(codes.Canceled, "canceled"), false},
		{"a reason of another domain", foreign.Err(), false},
		{"a reason of a later release", later.Err(), false},
		{"a refusal for no reason", rpc.Refuse(directoryv1.Reason_REASON_UNSPECIFIED, "?"), false},
	} {
		if got := rpc.Reason(tt.err); got != directoryv1.Reason_REASON_UNSPECIFIED {
			t.Errorf("%s: reason: want none, got %v", tt.name, got)
		}
		if got := rpc.Unavailable(tt.err); got != tt.unavailable {
			t.Errorf("%s: unavailable: want %t, got %t", tt.name, tt.unavailable, got)
		}
	}
	if got := status.Code(rpc.Refuse(directoryv1.Reason_REASON_UNSPECIFIED, "?")); got != codes.Internal {
		t.Errorf("code of a refusal for no reason: want %v, got %v", codes.Internal, got)
	}
}
