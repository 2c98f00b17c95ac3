package directory

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// Bounds of what comes in.
const (
	maxBatch     = 1000
	maxPage      = 1000
	defaultPage  = 100
	maxChallenge = 256 // bytes
	maxPassword  = 128 // bytes
	maxEditID    = 16  // bytes
)

func invalid(format string, args ...any) error {
	return &store.Refusal{Reason: directoryv1.Reason_REASON_INVALID, Message: fmt.Sprintf(format, args...)}
}

// email returns the canonical spelling of an address.
func email(field, text string) (string, error) {
	e, err := msnp.ParseEmail([]byte(text))
	if err != nil {
		return "", invalid("%s %s is not an address like name@example.com", field, clip(text))
	}
	return e.String(), nil
}

// name checks a URL-encoded name, and encodes what in it cannot stand on the
// wire.
func name(field, text string, limit int) (string, error) {
	n, err := msnp.ParseNick([]byte(text), limit)
	if err != nil {
		return "", invalid("%s %s must be UTF-8 and, URL-encoded, at most %d bytes", field, clip(text), limit)
	}
	return string(n), nil
}

// plainName encodes a name of plain text.
func plainName(field, text string, limit int) (string, error) {
	n := msnp.EncodeNick(text)
	if !utf8.ValidString(text) || len(n) > limit {
		return "", invalid("%s %s must be UTF-8 and, URL-encoded, at most %d bytes", field, clip(text), limit)
	}
	return string(n), nil
}

// password checks what is to be a password. The message holds nothing of it.
func password(text string) error {
	if text == "" {
		return invalid("the password is empty")
	}
	if len(text) > maxPassword {
		return invalid("the password is longer than %d bytes", maxPassword)
	}
	if !utf8.ValidString(text) {
		return invalid("the password is not UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return invalid("the password has a control character, such as a line break")
		}
	}
	return nil
}

// clip quotes text from outside, as much of it as a message bears.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return fmt.Sprintf("%q...", text[:most])
	}
	return fmt.Sprintf("%q", text)
}

// checkEdit makes the email of an edit canonical.
func checkEdit(e *directoryv1.Edit) error {
	if e == nil {
		return invalid("edit is missing")
	}
	if len(e.GetId()) > maxEditID {
		return invalid("edit.id is longer than %d bytes", maxEditID)
	}
	canonical, err := email("edit.email", e.GetEmail())
	e.Email = canonical
	return err
}
