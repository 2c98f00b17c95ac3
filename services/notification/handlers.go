package notification

import (
	"context"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// handler is what a verb does. Before it runs, the verb's row in msnp.Verbs
// has been checked: phase, dialect and number of arguments.
type handler struct {
	do func(*session, context.Context, *msnp.Command) error
	// traced verbs leave this process, to the directory or to other nodes.
	traced bool
}

var handlers = map[string]handler{
	"VER": {do: (*session).handleVER},
	"INF": {do: (*session).handleINF},
	"CVR": {do: (*session).handleCVR},
	"CVQ": {do: (*session).handleCVQ},
	"USR": {do: (*session).handleUSR, traced: true},

	"SYN": {do: (*session).handleSYN},
	"LST": {do: (*session).handleLST},
	"LSG": {do: (*session).handleLSG},
	"GTC": {do: (*session).handleGTC, traced: true},
	"BLP": {do: (*session).handleBLP, traced: true},
	"PRP": {do: (*session).handlePRP, traced: true},
	"REA": {do: (*session).handleREA, traced: true},

	"ADD": {do: (*session).handleADD, traced: true},
	"REM": {do: (*session).handleREM, traced: true},
	"ADG": {do: (*session).handleADG, traced: true},
	"REG": {do: (*session).handleREG, traced: true},
	"RMG": {do: (*session).handleRMG, traced: true},

	"CHG": {do: (*session).handleCHG, traced: true},
	"IMS": {do: (*session).handleIMS},
	"XFR": {do: (*session).handleXFR, traced: true},

	"URL": {do: (*session).handleURL},
	"FND": {do: (*session).handleFND},
	"SND": {do: (*session).handleSND},
	"SDC": {do: (*session).handleSDC},
	"PAG": {do: (*session).handlePAG},
	"CHL": {do: (*session).handleCHL},
	"QRY": {do: (*session).handleQRY},

	"PNG": {do: (*session).handlePNG},
	"OUT": {do: (*session).handleOUT},
}

// handlePNG answers a keep-alive. PNG has no TrID, so QNG has none.
func (s *session) handlePNG(context.Context, *msnp.Command) error {
	s.line("QNG")
	return nil
}

// handleOUT says goodbye: the seed session shows the server's OUT behind the
// client's.
func (s *session) handleOUT(context.Context, *msnp.Command) error {
	s.line("OUT")
	return front.Closing(front.ReasonClient, nil)
}
