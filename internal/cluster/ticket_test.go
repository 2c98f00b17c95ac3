package cluster

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"google.golang.org/protobuf/proto"
)

func TestTicketIsGoodForOne(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		c, ctx := e.client(t), t.Context()
		want := &clusterv1.Ticket{Email: "alice@example.com", Name: "Alice%20A", Dialect: "MSNP7", Node: "n"}
		token, err := c.Issue(ctx, want, time.Minute)
		if err != nil || len(token) != 32 || strings.Trim(token, "0123456789abcdef") != "" {
			t.Fatalf("Issue: %q, %v", token, err)
		}
		var (
			won      atomic.Int32
			together sync.WaitGroup
		)
		for range 20 {
			together.Go(func() {
				got, err := c.Redeem(ctx, token)
				switch {
				case err == nil && proto.Equal(got, want):
					won.Add(1)
				case !errors.Is(err, ErrNoTicket):
					t.Errorf("Redeem: %v, %v", got, err)
				}
			})
		}
		together.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 20 got the ticket", won.Load())
		}

		for _, token := range []string{"", "x", strings.Repeat("z", 32), strings.Repeat("0", 32), strings.Repeat("0", 64)} {
			if _, err := c.Redeem(ctx, token); !errors.Is(err, ErrNoTicket) {
				t.Errorf("Redeem(%q): %v", token, err)
			}
		}
		other, err := c.Issue(ctx, want, time.Second)
		if err != nil || other == token {
			t.Fatalf("Issue: %q, %v", other, err)
		}
		time.Sleep(1100 * time.Millisecond) // its life is what is tested
		if _, err := c.Redeem(ctx, other); !errors.Is(err, ErrNoTicket) {
			t.Errorf("Redeem of an expired ticket: %v", err)
		}
	})
}
