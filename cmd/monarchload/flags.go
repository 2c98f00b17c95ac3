package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/cmd/internal/csvfile"
	"github.com/monarch-msn/monarch/cmd/monarchload/load"
	"github.com/monarch-msn/monarch/msnp"
)

// commandLine is everything that monarchload understands.
type commandLine struct {
	Login    loginCommand    `cmd:"" help:"Log in, through dispatch until online, and out again."`
	Idle     idleCommand     `cmd:"" help:"Log in and stay."`
	Presence presenceCommand `cmd:"" help:"Change statuses; every watcher has to be told."`
	Chat     chatCommand     `cmd:"" help:"Talk in rooms; everybody else has to get each message."`
	Mixed    mixedCommand    `cmd:"" help:"All of that at the same time, and edits of lists."`
}

// common are the flags of all modes.
type common struct {
	Dispatch string   `required:"" placeholder:"HOST:PORT" help:"Where clients of the network connect."`
	Accounts string   `required:"" placeholder:"FILE" help:"Who may log in: a line email,password for each."`
	Clients  int      `default:"0" help:"How many of the accounts are used, the first of the file; 0 is all."`
	Dialect  string   `enum:"MSNP2,MSNP3,MSNP4,MSNP5,MSNP6,MSNP7" default:"MSNP7" help:"The protocol to speak: ${enum}."`
	Source   []string `placeholder:"ADDRESS" help:"Local addresses to connect from in turn, or a network of them such as 127.0.0.0/24."`

	Duration      time.Duration `default:"10s" help:"How long is measured."`
	Deadline      time.Duration `default:"10s" help:"What has not arrived for so long is lost."`
	LoginDeadline time.Duration `default:"30s" help:"The longest that a login may take."`
	Retry         int           `default:"0" help:"How often a login that did not succeed is tried again, each time a second later."`
	Measure       []int         `placeholder:"PID" help:"Processes whose CPU time and memory are measured, on Linux."`

	MaxErrors *int64 `placeholder:"N" help:"A target: no more errors than that, such as refusals and broken connections."`

	JSON   bool   `name:"json" help:"Print the result as one JSON document."`
	Report string `placeholder:"FILE.html" help:"Write a page with plots."`
	Quiet  bool   `help:"Show no progress."`
}

// logins are the flags of modes whose clients log in ahead of the work.
type logins struct {
	LoginRate      float64        `default:"0" help:"Log so many clients in a second; 0 keeps --logins-under-way."`
	LoginsUnderWay int            `default:"16" help:"Log so many clients in at a time."`
	MaxLoginP99    *time.Duration `name:"max-login-p99" placeholder:"TIME" help:"A target for 99 of 100 logins."`
}

// pace are the flags of modes with operations.
type pace struct {
	Rate       float64       `default:"0" help:"Begin so many operations a second, and count latency from when each was due; 0 keeps --under-way."`
	UnderWay   int           `default:"64" help:"Keep so many operations under way."`
	Operations int64         `default:"0" help:"End the measured time as soon as so many operations are done; 0 leaves it at --duration."`
	Warmup     time.Duration `default:"2s" help:"How long operations are done before the measured time."`

	MaxP50  *time.Duration `name:"max-p50" placeholder:"TIME" help:"A target for the latency of half of the operations."`
	MaxP99  *time.Duration `name:"max-p99" placeholder:"TIME" help:"A target for that of 99 of 100."`
	MaxP999 *time.Duration `name:"max-p999" placeholder:"TIME" help:"A target for that of 999 of 1000."`
	MinRate *float64       `placeholder:"RATE" help:"A target: at least so many operations a second."`
}

func (p *pace) configure(cfg *load.Config) {
	cfg.Rate, cfg.UnderWay, cfg.Warmup, cfg.Operations = p.Rate, p.UnderWay, p.Warmup, p.Operations
	cfg.Targets = load.Targets{MaxP50: p.MaxP50, MaxP99: p.MaxP99, MaxP999: p.MaxP999, MinRate: p.MinRate}
}

func (l *logins) configure(cfg *load.Config) {
	cfg.LoginRate, cfg.LoginsUnderWay = l.LoginRate, l.LoginsUnderWay
	cfg.Targets.MaxLoginP99 = l.MaxLoginP99
}

// configure fills in what all modes share, and checks the whole.
func (c *common) configure(cfg *load.Config) error {
	cfg.Dispatch, cfg.Dialect, cfg.Clients = c.Dispatch, c.Dialect, c.Clients
	cfg.Duration, cfg.Deadline, cfg.LoginDeadline = c.Duration, c.Deadline, c.LoginDeadline
	cfg.Retry, cfg.Measure = c.Retry, c.Measure
	cfg.Targets.MaxErrors = c.MaxErrors
	for _, s := range c.Source {
		addrs, err := load.ParseSource(s)
		if err != nil {
			return fmt.Errorf("--source: %w", err)
		}
		cfg.Sources = append(cfg.Sources, addrs...)
	}
	var err error
	if cfg.Accounts, err = readAccounts(c.Accounts); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if c.Report != "" {
		if err := checkReport(c.Report); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	return nil
}

// readAccounts reads lines of email and password, in a file as "monarchctl user
// import" takes it. What else they hold, such as the name, is left alone.
func readAccounts(name string) ([]load.Account, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csvfile.New(f, "email")
	var all []load.Account
	for {
		fields, line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.As(err, new(csvfile.RowError)) {
			return nil, fmt.Errorf("%s, line %d: %w", name, line, err)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("%s, line %d: email,password is wanted", name, line)
		}
		email, err := msnp.ParseEmail([]byte(strings.TrimSpace(fields[0])))
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %q is not an email address", name, line, fields[0])
		}
		all = append(all, load.Account{Email: email.String(), Password: fields[1]})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no accounts", name)
	}
	return all, nil
}

type loginCommand struct {
	common
	pace
	Stay time.Duration `default:"0s" help:"How long a client is online before it logs out."`
}

// Run logs clients in and out.
func (c *loginCommand) Run(a *app) error {
	cfg := load.Config{Mode: load.Login, Stay: c.Stay}
	c.pace.configure(&cfg)
	return a.do(c.common, cfg)
}

type idleCommand struct {
	common
	logins
	Settle time.Duration `default:"10s" help:"How long all are online before they are measured."`
}

// Run keeps clients online.
func (c *idleCommand) Run(a *app) error {
	cfg := load.Config{Mode: load.Idle, Settle: c.Settle}
	c.logins.configure(&cfg)
	return a.do(c.common, cfg)
}

type presenceCommand struct {
	common
	logins
	pace
}

// Run changes statuses.
func (c *presenceCommand) Run(a *app) error {
	cfg := load.Config{Mode: load.Presence}
	c.pace.configure(&cfg)
	c.logins.configure(&cfg)
	return a.do(c.common, cfg)
}

// talk are the flags of modes with rooms.
type talk struct {
	RoomSize     int    `default:"2" help:"How many are in a room."`
	MessageBytes int    `default:"120" help:"How long a message is, with its header."`
	Ack          string `enum:"U,N,A" default:"A" help:"The mode of messages: ${enum}."`
	Pipeline     int    `default:"1" help:"How many messages each member may have under way."`
}

func (t *talk) configure(cfg *load.Config) {
	cfg.RoomSize, cfg.MessageBytes, cfg.Ack, cfg.Pipeline = t.RoomSize, t.MessageBytes, t.Ack, t.Pipeline
}

type chatCommand struct {
	common
	logins
	pace
	talk
}

// Run sends messages.
func (c *chatCommand) Run(a *app) error {
	cfg := load.Config{Mode: load.Chat}
	c.pace.configure(&cfg)
	c.logins.configure(&cfg)
	c.talk.configure(&cfg)
	return a.do(c.common, cfg)
}

type mixedCommand struct {
	common
	logins
	pace
	talk

	Logins   int `default:"1" help:"How many of the operations, in proportion to the others, are logins; a fifth of the accounts is for them."`
	Statuses int `default:"10" help:"How many are changes of status."`
	Edits    int `default:"1" help:"How many put a stranger on a list and take them off again."`
	Messages int `default:"20" help:"How many are messages."`
}

// Run does all of it.
func (c *mixedCommand) Run(a *app) error {
	cfg := load.Config{Mode: load.Mixed, Logins: c.Logins, Statuses: c.Statuses, Edits: c.Edits, Messages: c.Messages}
	c.pace.configure(&cfg)
	c.logins.configure(&cfg)
	c.talk.configure(&cfg)
	return a.do(c.common, cfg)
}
