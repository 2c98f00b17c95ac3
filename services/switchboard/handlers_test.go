package switchboard

import (
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

func TestEveryVerbOfTheTableHasAHandlerAndTheReverse(t *testing.T) {
	rows := make(map[string]bool)
	for _, row := range msnp.Verbs {
		if row.Servers&msnp.Switchboard != 0 {
			rows[row.Verb] = true
		}
	}
	for verb := range rows {
		if handlers[verb].Do == nil {
			t.Errorf("%s stands in msnp.Verbs for the switchboard and has no handler", verb)
		}
	}
	for verb := range handlers {
		if !rows[verb] {
			t.Errorf("%s has a handler and does not stand in msnp.Verbs for the switchboard", verb)
		}
	}
}
