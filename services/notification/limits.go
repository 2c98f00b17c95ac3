package notification

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// Limits bound what a client may send. Each is measured in bytes as they
// travel, an escape counting three. The defaults are those of the time, and
// also the most: clients could not show more. How long lists and how many
// groups may be is for the directory to say.
type Limits struct {
	HandleBytes      int `help:"Longest address of a user; a longer one ends the connection." default:"129"`
	NameBytes        int `help:"Longest friendly name or nickname; a longer one ends the connection." default:"387"`
	GroupNameBytes   int `help:"Longest name of a new group; a longer one is refused." default:"61"`
	GroupRenameBytes int `help:"Longest name in ADG and REG; a longer one ends the connection." default:"127"`
	PhoneBytes       int `help:"Longest phone number; a longer one ends the connection." default:"95"`

	RenameLimit  int           `help:"How often users may rename themselves within the rename window." default:"5"`
	RenameWindow time.Duration `help:"The rename window." default:"60s"`

	StrictREG bool `name:"strict-reg" help:"Refuse in REG too what is longer than the name of a new group may be."`
}

// maxRenameLimit bounds the memory that one user takes for it.
const maxRenameLimit = 100

func (l Limits) withDefaults() Limits {
	l.HandleBytes = cmp.Or(l.HandleBytes, msnp.MaxEmail)
	l.NameBytes = cmp.Or(l.NameBytes, msnp.MaxNick)
	l.GroupNameBytes = cmp.Or(l.GroupNameBytes, msnp.MaxGroupName)
	l.GroupRenameBytes = cmp.Or(l.GroupRenameBytes, msnp.MaxGroupRename)
	l.PhoneBytes = cmp.Or(l.PhoneBytes, msnp.MaxPhone)
	l.RenameLimit = cmp.Or(l.RenameLimit, 5)
	l.RenameWindow = cmp.Or(l.RenameWindow, time.Minute)
	return l
}

func (l Limits) validate() error {
	l = l.withDefaults()
	var faults []error
	for _, v := range []struct {
		flag       string
		value, max int
	}{
		{"handle-bytes", l.HandleBytes, msnp.MaxEmail},
		{"name-bytes", l.NameBytes, msnp.MaxNick},
		{"group-name-bytes", l.GroupNameBytes, msnp.MaxGroupName},
		{"group-rename-bytes", l.GroupRenameBytes, msnp.MaxGroupRename},
		{"phone-bytes", l.PhoneBytes, msnp.MaxPhone},
		{"rename-limit", l.RenameLimit, maxRenameLimit},
	} {
		if v.value < 1 || v.value > v.max {
			faults = append(faults, fmt.Errorf("%s: %d is not within 1 and %d", v.flag, v.value, v.max))
		}
	}
	if l.RenameWindow < 0 {
		faults = append(faults, fmt.Errorf("rename-window: %s is negative", l.RenameWindow))
	}
	return errors.Join(faults...)
}

// handle reads the address of who logs in, as [msnp.Params.Handle] does.
func (l *Limits) handle(p *msnp.Params) (msnp.Email, error) {
	email := p.Handle()
	if err := p.Err(); err != nil {
		return msnp.Email{}, err
	}
	if len(email.String()) > l.HandleBytes {
		return msnp.Email{}, msnp.ErrMalformed
	}
	return email, nil
}
