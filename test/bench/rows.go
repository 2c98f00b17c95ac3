package main

import (
	"fmt"
	"time"
)

// The crowds. All of the first are online within a second or two; the second is
// so large that the memory of one session shows.
var (
	users    = crowd{"user", 1000}
	sleepers = crowd{"idle", 6000}
)

// A row is one kind of work, measured on two setups in turn.
type row struct {
	name  string // by which it is chosen
	title string
	crowd crowd
	load  []string // arguments of monarchload
	// on is what is measured and beside what it is compared with; the zero
	// setup is nothing.
	on, beside setup
	figures    []figure
}

// A figure is what a row says.
type figure struct {
	title string // what it is, where the row has several
	unit  string
	of    func(measurement) float64
	// reach is the most that it may be, strive what is aimed at beyond: in its
	// unit, or times what it is compared with if ratio is set.
	reach, strive float64
	ratio         bool
	// n is how many share the CPU time, of which the unit has perSecond; nil if
	// it is no figure of CPU time.
	n         func(measurement) int64
	perSecond float64
}

// cpu is a figure of the CPU time of all processes but Redis for each of n.
func cpu(unit string, perSecond float64, n func(measurement) int64, reach, strive float64) figure {
	f := figure{unit: unit, n: n, perSecond: perSecond, reach: reach, strive: strive, ratio: true}
	f.of = func(m measurement) float64 { return f.each(m.cpu(), m) }
	return f
}

// each is the share that one of n has in so much CPU time, in the unit.
func (f figure) each(seconds float64, m measurement) float64 {
	return seconds * f.perSecond / float64(f.n(m))
}

func perLogin() []figure {
	return []figure{cpu("ms", 1e3, func(m measurement) int64 { return m.Operations }, 2, 1.5)}
}

func perDelivery(reach, strive float64) []figure {
	return []figure{cpu("µs", 1e6, func(m measurement) int64 { return m.Deliveries }, reach, strive)}
}

// rows are all rows, measured for so long each.
func rows(window time.Duration) []row {
	stub, nodes := setup{stub: true}, func(n int) setup { return setup{nodes: n} }
	closed := func(mode string, more ...string) []string {
		return append([]string{mode, "--warmup", "1s", "--duration", window.String()}, more...)
	}
	changes := closed("presence", "--under-way", "64")
	all := []row{
		{
			name: "login", title: "login and logout, contacts away", on: nodes(1), beside: stub, crowd: users,
			load: closed("login", "--under-way", "16"), figures: perLogin(),
		},
		{
			name: "crowd", title: "login, until all 1,000 are online", on: nodes(1), beside: stub, crowd: users,
			load: []string{
				"login", "--warmup", "0s", "--duration", "1m", "--under-way", "16",
				"--operations", fmt.Sprint(users.size), "--stay", "1h",
			},
			figures: perLogin(),
		},
		{
			name: "presence", title: "presence, one node, for each NLN", on: nodes(1), beside: stub, crowd: users,
			load: changes, figures: perDelivery(1.2, 0.7),
		},
		{
			name: "cluster", title: "presence, 3 nodes, for each NLN", on: nodes(3), beside: stub, crowd: users,
			load: changes, figures: append(perDelivery(1.5, 1.2), figure{
				title: "commands to Redis for 1,000 NLN", reach: 50,
				of: func(m measurement) float64 { return m.commands / float64(m.Deliveries) * 1e3 },
			}),
		},
		{
			name: "chat", title: "chat, rooms of 2, for each MSG", on: nodes(1), beside: stub, crowd: users,
			load: closed("chat", "--under-way", "64", "--clients", "200", "--ack", "N"), figures: perDelivery(1.1, 1),
		},
		{
			name: "memory", title: "memory of an idle session with 20 contacts", on: nodes(1), beside: stub, crowd: sleepers,
			load: []string{"idle", "--settle", "5s", "--duration", "1s"},
			figures: []figure{{unit: "KB", reach: 9, strive: 4, of: func(m measurement) float64 {
				return float64(m.roles["notification"].grown+m.roles["stub"].grown) / 1e3 / float64(m.Clients)
			}}},
		},
		{
			name: "latency", title: "CHG to NLN, 3 nodes, 10,000 NLN a second, p99", on: nodes(3), beside: stub, crowd: users,
			load: closed("presence", "--rate", fmt.Sprint(10_000/contactsEach)),
			figures: []figure{{unit: "ms", reach: 10, strive: 5, of: func(m measurement) float64 {
				return m.DeliveryLatency.P99 * 1e3
			}}},
		},
	}
	for _, n := range []int{4, 8} {
		all = append(all, row{
			name: fmt.Sprintf("nodes%d", n), title: fmt.Sprintf("presence, %d nodes, beside 2, for each NLN", n),
			on: nodes(n), beside: nodes(2), crowd: users,
			load: changes, figures: perDelivery(1.15, 1),
		})
	}
	return all
}
