package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// TestBurial feeds readings to a member that does not run: one a second, as
// long as it says. A reading is the ids whose lease stands, "!" for one that
// failed; "-a" is an id without a lease whose inbox nobody hears, and "sent" one
// that was never read, and is sent to when the step begins. Ids that
// differ in nothing but ticks are those that one process had; "a'<a" says that
// it has sessions of its former id "a".
func TestBurial(t *testing.T) {
	type step struct {
		seconds int
		reads   []string
	}
	for _, test := range []struct {
		name    string
		sharded bool // on Redis Cluster
		steps   []step
		// Which second buries whom.
		want []string
	}{
		{
			name:  "a lease that ends",
			steps: []step{{20, []string{"self", "a", "b"}}, {20, []string{"self", "b"}}},
			want:  []string{"23 a"}, // missing at 20, 21, 22, 23
		},
		{
			name:  "a lease that ends, and nobody hears the node",
			steps: []step{{20, []string{"self", "a", "b"}}, {20, []string{"self", "b", "-a"}}},
			want:  []string{"20 a"},
		},
		{
			name:    "a lease that ends, and nobody hears the node, on Redis Cluster",
			sharded: true,
			steps:   []step{{20, []string{"self", "a", "b"}}, {20, []string{"self", "b", "-a"}}},
			want:    []string{"23 a"},
		},
		{
			name:  "a lease that is lost, and nobody hears the node, which is there under another id",
			steps: []step{{20, []string{"self", "a", "b"}}, {20, []string{"self", "a'", "b", "-a"}}},
			want:  []string{"30 a"},
		},
		{
			name:  "within a lease after the own join, though nobody hears the node",
			steps: []step{{2, []string{"self", "a"}}, {20, []string{"self", "-a"}}},
			want:  []string{"10 a"},
		},
		{
			name:  "a lease that is missing for a moment",
			steps: []step{{20, []string{"self", "a"}}, {3, []string{"self"}}, {20, []string{"self", "a"}}},
		},
		{
			name:  "a lease that is lost while its node is there under another id",
			steps: []step{{20, []string{"self", "a", "b"}}, {20, []string{"self", "a'", "b"}}},
			want:  []string{"30 a"},
		},
		{
			name:  "a lease that is lost, and its node's next one soon after",
			steps: []step{{20, []string{"self", "a"}}, {6, []string{"self", "a'"}}, {20, []string{"self"}}},
			want:  []string{"26 a", "29 a'"},
		},
		{
			name:  "a lease that is lost, and its node has not claimed all sessions under another id yet",
			steps: []step{{20, []string{"self", "a", "b"}}, {40, []string{"self", "a'<a", "b"}}, {20, []string{"self", "a'", "b"}}},
			want:  []string{"69 a"}, // said last at 59
		},
		{
			name:  "the same, and nobody hears the former id",
			steps: []step{{20, []string{"self", "a", "b"}}, {40, []string{"self", "a'<a", "b", "-a"}}, {20, []string{"self", "a'", "b"}}},
			want:  []string{"69 a"},
		},
		{
			name:  "the same, and then the node dies",
			steps: []step{{20, []string{"self", "a", "b"}}, {40, []string{"self", "a'<a", "b"}}, {20, []string{"self", "b"}}},
			want:  []string{"62 a", "63 a'"},
		},
		{
			name:  "within a lease after the own join",
			steps: []step{{2, []string{"self", "a"}}, {20, []string{"self"}}},
			want:  []string{"10 a"},
		},
		{
			name:  "readings without this node",
			steps: []step{{20, []string{"self", "a"}}, {60, nil}, {20, []string{"self", "a"}}},
		},
		{
			name:  "readings without this node, and then without the other",
			steps: []step{{20, []string{"self", "a"}}, {60, nil}, {20, []string{"self"}}},
			want:  []string{"83 a"},
		},
		{
			name:  "readings that fail",
			steps: []step{{20, []string{"self", "a"}}, {1, []string{"self"}}, {60, []string{"!"}}, {20, []string{"self", "a"}}},
		},
		{
			name:  "a node that was never read, but was sent to",
			steps: []step{{20, []string{"self", "sent"}}},
			want:  []string{"10 sent"},
		},
		{
			// Records lead to it, and it may be there under an id of which nobody
			// knows that it is the same.
			name:  "a node that was never read, but was sent to later",
			steps: []step{{20, []string{"self"}}, {20, []string{"self", "sent"}}},
			want:  []string{"30 sent"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := Open("redis://unused", Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.sharded = test.sharded
				n := &node{changed: make(chan struct{})}
				n.Member = c.Member(MemberConfig{}, n)
				n.adopt(n.ID(), &inbox{m: n.Member, id: n.ID()}, time.Now())
				begun := time.Now()
				var got []string
				for _, s := range test.steps {
					if slices.Contains(s.reads, "sent") {
						n.Send("sent", notice("x"))
						n.out.take(n.out.waiting())
					}
					for range s.seconds {
						if !slices.Contains(s.reads, "!") {
							var nodes []*clusterv1.Node
							var deaf []string
							for _, id := range s.reads {
								if dead, ok := strings.CutPrefix(id, "-"); ok {
									deaf = append(deaf, dead)
									continue
								}
								if id == "sent" {
									continue
								}
								if id == "self" {
									id = n.ID()
								}
								id, former, has := strings.Cut(id, "<")
								node := nodeOf(id, 0, 1)
								if has {
									node.Former = []string{former}
								}
								node.Addresses = []*clusterv1.Address{{Address: strings.TrimRight(id, "'")}}
								nodes = append(nodes, node)
							}
							r := readingOf(time.Now(), nodes...)
							r.deaf = deaf
							n.judge(t.Context(), r)
						}
						for _, gone := range n.noted("gone") {
							got = append(got, fmt.Sprintf("%.0f %s", time.Since(begun).Seconds(), gone.peer))
						}
						n.forget()
						time.Sleep(time.Second)
					}
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("buried %v, want %v", got, test.want)
				}
			})
		})
	}
}

// Dead ids are swept a lease after they were first found, in the first half of
// another lease, and those never from which sessions are shown.
func TestWhoIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Open("redis://unused", Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		m := c.Member(MemberConfig{}, &node{})
		m.sweeps = make(chan string, 100)
		begun := time.Now()
		for second := range 40 {
			other := nodeOf("other", 0, 1)
			other.Former = []string{"former"}
			r := readingOf(time.Now(), nodeOf(m.ID(), 0, 1), other)
			r.absent = []string{"former"}
			if second >= 20 {
				r.absent = append(r.absent, "dead")
			}
			if second%8 == 0 {
				r.absent = append(r.absent, "joining") // has no lease for a moment
			}
			m.pickUnswept(r, time.Since(begun) >= m.timing.Lease)
			if len(m.sweeps) > 0 {
				if id := <-m.sweeps; id != "dead" || second < 30 || second > 35 {
					t.Errorf("swept %q after %d s", id, second)
				}
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("never swept")
	})
}
