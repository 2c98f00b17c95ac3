package notification

import (
	"bytes"
	"context"
	"strconv"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// The commands of services that Monarch does not have, the member directory,
// invitation mails and pages. It says so in the way that the protocol has for
// it.

// searchFields are what FND may be asked for.
var searchFields = map[string]bool{"fname": true, "lname": true, "city": true, "state": true, "country": true}

// handleFND searches the member directory, in which there is nobody. Where it
// is switched off, clients that know the code for it hear so.
//
//	C: FND TrID fname=F lname=L city=C state=S country=CC    S: FND TrID 0 0
func (s *session) handleFND(_ context.Context, cmd *msnp.Command) error {
	if s.svc.cfg.FNDDisabled && s.dialect.Has(msnp.DisabledAnswer) {
		return msnp.CodeDisabled
	}
	named := false
	for _, arg := range cmd.Args {
		field, value, ok := bytes.Cut(arg, []byte("="))
		if !ok || !searchFields[string(field)] {
			return msnp.CodeInvalidParameter
		}
		named = named || string(field[1:]) == "name" && len(value) > 0
	}
	if !named {
		return msnp.CodeFieldMissing
	}
	s.line("FND").TrID(cmd.TrID).Word("0").Word("0")
	return nil
}

// handleSND accepts an invitation mail; none is sent. From MSNP5 on clients
// have SDC for it, but may use SND as before.
//
//	C: SND TrID target                              S: SND TrID OK    MSNP2
//	C: SND TrID target locale library                                 MSNP3
//	C: SND TrID target locale library codebase                        MSNP4
func (s *session) handleSND(_ context.Context, cmd *msnp.Command) error {
	words := 1
	if s.dialect.Has(msnp.SNDLocale) {
		words += 2
	}
	if s.dialect.Has(msnp.Codebase) {
		words++
	}
	if len(cmd.Args) < words || !invitable(cmd.Args[0]) || words > 1 && !isLocale(cmd.Args[1]) {
		return unspecified
	}
	s.line("SND").TrID(cmd.TrID).Word("OK")
	return nil
}

// handleSDC is SND with a text of the user's own.
//
//	C: SDC TrID target locale library codebase X X friendly length    S: SDC TrID OK
func (s *session) handleSDC(_ context.Context, cmd *msnp.Command) error {
	const words, friendly = 8, 6
	if len(cmd.Args) < words || !invitable(cmd.Args[0]) || !isLocale(cmd.Args[1]) {
		return unspecified
	}
	if _, err := msnp.ParseNick(cmd.Args[friendly], s.svc.cfg.NameBytes); err != nil {
		return unspecified
	}
	s.line("SDC").TrID(cmd.TrID).Word("OK")
	return nil
}

// unspecified is the answer to an invitation mail with bad arguments; MSNP7's
// clients do not know the code, and see the connection close.
var unspecified = front.Closing(front.ReasonRefused, msnp.CodeUnspecified)

// invitable reports whether an invitation could go there: to an address, or to
// a person found by FND before, by index. FND finds nobody, but as nothing is
// sent there is no reason to punish whoever counts on it.
func invitable(target []byte) bool {
	if _, err := strconv.ParseUint(string(target), 10, 32); err == nil {
		return true
	}
	_, err := msnp.ParseEmail(target)
	return err == nil
}

// isLocale reports whether a word is the number of a language, as 0x0409.
func isLocale(word []byte) bool {
	_, err := strconv.ParseUint(string(word), 0, 32)
	return err == nil
}

// handlePAG refuses a page: nobody here has a pager. The text that came with
// it is dropped.
//
//	C: PAG TrID handle length    S: 220 TrID
func (s *session) handlePAG(context.Context, *msnp.Command) error {
	return msnp.CodeNoPages
}
