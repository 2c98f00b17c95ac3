package front_test

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func parse(t *testing.T, args ...string) front.Config {
	t.Helper()
	var flags struct {
		Front front.Config `embed:""`
	}
	p, err := kong.New(&flags, kong.Exit(func(int) { t.Fatal("kong gave up") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Front
}

func TestFlagsHaveTheDefaultsOfTheZeroConfig(t *testing.T) {
	want := front.Config{
		MaxConnections: front.DefaultMaxConnections,
		AcceptBurst:    front.DefaultAcceptBurst,
		Refusals:       front.DefaultRefusals,
		RefusalTime:    front.DefaultRefusalTime,
		OutboxBytes:    front.DefaultOutboxBytes,
		WriteTimeout:   front.DefaultWriteTimeout,
		FlushTimeout:   front.DefaultFlushTimeout,
		ReadLine:       msnp.DefaultLine,
	}
	if got := parse(t); got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}
	for _, c := range []front.Config{want, {}} {
		if err := c.Validate(); err != nil {
			t.Errorf("validate %+v: %v", c, err)
		}
	}
	if got := parse(t, "--outbox-bytes=65536", "--write-timeout=1m").OutboxBytes; got != 65536 {
		t.Errorf("outbox-bytes: want 65536, got %d", got)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	err := front.Config{
		MaxConnections:        -1,
		ConnectionsPerAddress: -1,
		AcceptRate:            -1,
		AcceptBurst:           -1,
		ProxyFrom:             "10.0.0.0/8,balancer",
		Refusals:              -1,
		RefusalTime:           -1,
		OutboxBytes:           100,
		WriteTimeout:          -1,
		FlushTimeout:          -1,
		ReadLine:              1 << 30,
	}.Validate()
	if err == nil {
		t.Fatal("want faults, got none")
	}
	for _, flag := range []string{
		"max-connections", "connections-per-address", "accept-rate", "accept-burst", "proxy-from",
		"refusals", "refusal-time", "outbox-bytes", "write-timeout", "flush-timeout", "read-line",
	} {
		if !strings.Contains(err.Error(), flag+": ") {
			t.Errorf("want a fault of %s, got %v", flag, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 11 {
		t.Errorf("want eleven faults, got %d: %v", n, err)
	}
}
