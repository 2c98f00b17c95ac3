package msnp

import "strconv"

// A Code is one of the numeric errors of the protocol. It is an error:
// handlers return it, and the loop that called them writes the line.
type Code uint16

// The codes that servers send. The text of each says what it means; when it
// is due, and whether the connection closes, is up to the command.
const (
	CodeInvalidParameter  Code = 201
	CodeInvalidUser       Code = 205
	CodeNoDomain          Code = 206
	CodeAlreadyLoggedIn   Code = 207
	CodeInvalidUserName   Code = 208
	CodeInvalidNick       Code = 209
	CodeListFull          Code = 210
	CodeAlreadyThere      Code = 215
	CodeNotOnList         Code = 216
	CodeNotOnline         Code = 217
	CodeAlreadyInMode     Code = 218
	CodeOppositeList      Code = 219
	CodeNoPages           Code = 220
	CodeTooManyGroups     Code = 223
	CodeNoSuchGroup       Code = 224
	CodeNotInGroup        Code = 225
	CodeGroupNameTooLong  Code = 229
	CodeGroupZero         Code = 230
	CodeSwitchboardFailed Code = 280
	CodeNoReferral        Code = 281
	CodeFieldMissing      Code = 300
	CodeTooManyResults    Code = 301
	CodeNotRecognised     Code = 420
	CodeInternal          Code = 500
	CodeDisabled          Code = 502
	CodeUnspecified       Code = 503
	CodeChallengeFailed   Code = 540
	CodeBusy              Code = 600
	CodeUnavailable       Code = 601
	CodeGoingDown         Code = 604
	CodePagingUnavailable Code = 606
	CodeBadLocale         Code = 710
	CodeSessionFull       Code = 712
	CodeTooActive         Code = 713
	CodeTooManySessions   Code = 714
	CodeNotExpected       Code = 715
	CodeBadCVR            Code = 731
	CodeTooFast           Code = 800
	CodeServerBusy        Code = 910
	CodeAuthentication    Code = 911
	CodeHidden            Code = 913
	CodeNoNewUsers        Code = 920
	CodeLoginBusy         Code = 921
	CodeChildAccount      Code = 923
	CodeNotVerified       Code = 924
)

var codeTexts = map[Code]string{
	CodeInvalidParameter:  "invalid parameter",
	CodeInvalidUser:       "no such user",
	CodeNoDomain:          "domain name missing",
	CodeAlreadyLoggedIn:   "already logged in",
	CodeInvalidUserName:   "invalid user name",
	CodeInvalidNick:       "invalid friendly name",
	CodeListFull:          "list full",
	CodeAlreadyThere:      "already there",
	CodeNotOnList:         "not on the list",
	CodeNotOnline:         "not online",
	CodeAlreadyInMode:     "already in this mode",
	CodeOppositeList:      "on the opposite list",
	CodeNoPages:           "not accepting pages",
	CodeTooManyGroups:     "too many groups",
	CodeNoSuchGroup:       "no such group",
	CodeNotInGroup:        "contact not in that group",
	CodeGroupNameTooLong:  "group name too long",
	CodeGroupZero:         "group 0 cannot be removed",
	CodeSwitchboardFailed: "no switchboard",
	CodeNoReferral:        "no notification server",
	CodeFieldMissing:      "required field missing",
	CodeTooManyResults:    "too many results",
	CodeNotRecognised:     "client not recognised",
	CodeInternal:          "internal error",
	CodeDisabled:          "command disabled",
	CodeUnspecified:       "unspecified failure",
	CodeChallengeFailed:   "challenge failed",
	CodeBusy:              "server busy",
	CodeUnavailable:       "server unavailable",
	CodeGoingDown:         "server going down",
	CodePagingUnavailable: "paging unavailable",
	CodeBadLocale:         "bad locale",
	CodeSessionFull:       "session full",
	CodeTooActive:         "user too active",
	CodeTooManySessions:   "too many sessions",
	CodeNotExpected:       "not expected",
	CodeBadCVR:            "bad client version",
	CodeTooFast:           "too fast",
	CodeServerBusy:        "server busy with logins",
	CodeAuthentication:    "authentication failed",
	CodeHidden:            "not allowed while hidden",
	CodeNoNewUsers:        "no new users",
	CodeLoginBusy:         "server too busy for logins",
	CodeChildAccount:      "child account without consent",
	CodeNotVerified:       "address not verified",
}

// Error returns the number and what it means: "217 not online".
func (c Code) Error() string {
	text, ok := codeTexts[c]
	if !ok {
		text = "unknown"
	}
	return strconv.Itoa(int(c)) + " " + text
}
