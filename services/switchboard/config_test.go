package switchboard

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/internal/front"
)

func TestFlagsHaveTheDefaultsOfTheZeroConfig(t *testing.T) {
	var flags struct {
		Tune Config `embed:"" prefix:"switchboard."`
	}
	p, err := kong.New(&flags, kong.Exit(func(int) { t.Fatal("kong gave up") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(nil); err != nil {
		t.Fatal(err)
	}
	got := flags.Tune
	got.Silent = true
	// What the zero value leaves to front has the defaults of front's own test.
	want := Config{Config: got.Config}.withDefaults()
	want.OutboxBytes = Config{}.withDefaults().OutboxBytes
	if got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero config: %v", err)
	}
}

func TestValidateTellsAllFaults(t *testing.T) {
	err := Config{
		Config:       front.Config{OutboxBytes: 5},
		LoginTimeout: -1, CallTimeout: -time.Second, Capacity: -1, MaxMembers: 1, IdleTime: -1,
		RingTimeout: -1, RingTime: -1, RefusalStep: -1, MessageRate: -1, DrainTime: -1, ArrivalTime: -1,
	}.Validate()
	if err == nil {
		t.Fatal("want faults, got none")
	}
	for _, want := range []string{
		"outbox-bytes", "login-timeout", "call-timeout: -1s is negative", "capacity", "max-members", "idle-time",
		"ring-timeout", "ring-time", "refusal-step", "message-rate", "drain-time", "arrival-time",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want a word on %s, got %v", want, err)
		}
	}
}
