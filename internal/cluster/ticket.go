package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

const tokenBytes = 16

// Issue writes a ticket that can be redeemed once within ttl, and returns its
// token: 32 characters of 0-9 and a-f.
func (c *Client) Issue(ctx context.Context, t *clusterv1.Ticket, ttl time.Duration) (token string, err error) {
	value, err := proto.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("issue ticket: %w", err)
	}
	var random [tokenBytes]byte
	rand.Read(random[:])
	token = hex.EncodeToString(random[:])
	ctx, cancel := c.bound(ctx)
	defer cancel()
	if err := c.rdb.Set(ctx, c.keys.ticket(token), value, ttl).Err(); err != nil {
		return "", unavailable("issue ticket", err)
	}
	return token, nil
}

// Redeem reads and deletes a ticket. Of several calls at once one gets it; the
// others get [ErrNoTicket].
//
// A ticket whose answer is lost on the way is spent all the same: it is never
// honoured twice.
func (c *Client) Redeem(ctx context.Context, token string) (*clusterv1.Ticket, error) {
	// A token comes from a client, so its shape is checked before it names a key.
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenBytes {
		return nil, fmt.Errorf("redeem ticket: %w", ErrNoTicket)
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	value, err := c.rdb.GetDel(ctx, c.keys.ticket(token)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("redeem ticket: %w", ErrNoTicket)
	}
	if err != nil {
		return nil, unavailable("redeem ticket", err)
	}
	t := new(clusterv1.Ticket)
	if err := proto.Unmarshal(value, t); err != nil {
		return nil, fmt.Errorf("redeem ticket: %w", err)
	}
	return t, nil
}
