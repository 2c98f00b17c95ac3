package notification

import (
	"context"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

var handlers = map[string]front.Handler[*session]{
	"VER": {Do: (*session).handleVER},
	"INF": {Do: (*session).handleINF},
	"CVR": {Do: (*session).handleCVR},
	"CVQ": {Do: (*session).handleCVQ},
	"USR": {Do: (*session).handleUSR, Traced: true},

	"SYN": {Do: (*session).handleSYN},
	"LST": {Do: (*session).handleLST},
	"LSG": {Do: (*session).handleLSG},
	"GTC": {Do: (*session).handleGTC, Traced: true},
	"BLP": {Do: (*session).handleBLP, Traced: true},
	"PRP": {Do: (*session).handlePRP, Traced: true},
	"REA": {Do: (*session).handleREA, Traced: true},

	"ADD": {Do: (*session).handleADD, Traced: true},
	"REM": {Do: (*session).handleREM, Traced: true},
	"ADG": {Do: (*session).handleADG, Traced: true},
	"REG": {Do: (*session).handleREG, Traced: true},
	"RMG": {Do: (*session).handleRMG, Traced: true},

	"CHG": {Do: (*session).handleCHG, Traced: true},
	"IMS": {Do: (*session).handleIMS},
	"XFR": {Do: (*session).handleXFR, Traced: true},

	"URL": {Do: (*session).handleURL},
	"FND": {Do: (*session).handleFND},
	"SND": {Do: (*session).handleSND},
	"SDC": {Do: (*session).handleSDC},
	"PAG": {Do: (*session).handlePAG},
	"CHL": {Do: (*session).handleCHL},
	"QRY": {Do: (*session).handleQRY},

	"PNG": {Do: (*session).handlePNG},
	"OUT": {Do: (*session).handleOUT},
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
