package front_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func TestReasonOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want front.Reason
	}{
		{nil, front.ReasonClient},
		{io.EOF, front.ReasonClient},
		{io.ErrUnexpectedEOF, front.ReasonClient},
		{os.NewSyscallError("read", syscall.ECONNRESET), front.ReasonClient},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), front.ReasonIdle},
		{&msnp.SyntaxError{Kind: msnp.ErrUnknownVerb}, front.ReasonProtocol},
		{fmt.Errorf("login: %w", front.Closing(front.ReasonRefused, msnp.CodeAuthentication)), front.ReasonRefused},
	} {
		if got := front.ReasonOf(tt.err); got != tt.want {
			t.Errorf("reason of %v: want %q, got %q", tt.err, tt.want, got)
		}
	}
}

func TestCloseWrapsItsCause(t *testing.T) {
	err := front.Closing(front.ReasonRefused, fmt.Errorf("login: %w", msnp.CodeAuthentication))
	var code msnp.Code
	if !errors.As(err, &code) || code != msnp.CodeAuthentication {
		t.Errorf("code: want %v, got %v", msnp.CodeAuthentication, code)
	}
	want := "connection ended: refused: login: " + msnp.CodeAuthentication.Error()
	if got := err.Error(); got != want {
		t.Errorf("want %q, got %q", want, got)
	}
	if got := front.Closing(front.ReasonIdle, nil).Error(); got != "connection ended: idle" {
		t.Errorf("want %q, got %q", "connection ended: idle", got)
	}
}
