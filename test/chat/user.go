package chat

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/monarch-msn/monarch/msnp/client"
)

// user is somebody who is logged in, and can be in many rooms. A goroutine of
// its own reads what the notification server says.
type user struct {
	*client.Client

	mu      sync.Mutex
	replies map[string]chan client.Message // by transaction id
	rings   map[string]chan client.Ring    // by number of the room
	reading sync.WaitGroup
	err     error
}

func login(ctx context.Context, address, email, password string) (*user, error) {
	c, err := client.Login(ctx, client.Options{Dispatch: address, Email: email, Password: password})
	if err != nil {
		return nil, err
	}
	if _, err := c.Do(ctx, "CHG", "NLN"); err != nil {
		return nil, fmt.Errorf("CHG: %w", err)
	}
	u := &user{Client: c, replies: make(map[string]chan client.Message), rings: make(map[string]chan client.Ring)}
	u.reading.Go(u.read)
	return u, nil
}

func (u *user) read() {
	for {
		m, err := u.Next(context.Background()) // ends with the connection
		u.mu.Lock()
		if err != nil {
			u.err = err
			for _, reply := range u.replies {
				close(reply)
			}
			u.mu.Unlock()
			return
		}
		reply := u.replies[m.TrID()]
		delete(u.replies, m.TrID())
		u.mu.Unlock()
		if reply != nil {
			reply <- m
		}
		if ring, ok := client.ParseRing(m); ok {
			u.ringsOf(ring.Session) <- ring
		}
	}
}

// ringsOf are the calls of one room to the user. There is one at a time.
func (u *user) ringsOf(session string) chan client.Ring {
	u.mu.Lock()
	defer u.mu.Unlock()
	rings := u.rings[session]
	if rings == nil {
		rings = make(chan client.Ring, 16)
		u.rings[session] = rings
	}
	return rings
}

// open begins a conversation.
func (u *user) open(ctx context.Context) (*client.Chat, error) {
	reply := make(chan client.Message, 1)
	u.mu.Lock()
	trid, err := u.Start("XFR", "SB")
	if err == nil {
		err = u.err
	}
	u.replies[strconv.FormatUint(uint64(trid), 10)] = reply
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case m, ok := <-reply:
		if !ok || m.Verb != "XFR" {
			return nil, fmt.Errorf("answer to XFR: %q", m.Text)
		}
		return u.BeginChat(ctx, m.Arg(2), m.Arg(4))
	case <-ctx.Done():
		return nil, fmt.Errorf("await the answer to XFR: %w", ctx.Err())
	}
}

// enter answers the call of a room.
func (u *user) enter(ctx context.Context, session string) (*client.Chat, error) {
	select {
	case ring := <-u.ringsOf(session):
		return u.EnterChat(ctx, ring)
	case <-ctx.Done():
		return nil, fmt.Errorf("await the ring of %s: %w", session, ctx.Err())
	}
}

func (u *user) close() {
	u.Close()
	u.reading.Wait()
}
