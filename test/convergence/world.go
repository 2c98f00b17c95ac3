package convergence

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"golang.org/x/sync/errgroup"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Network is what the users live on.
type Network interface {
	Dispatch() string
	Notification(i int) string
	Accounts() directoryv1.AccountsClient
	Settle(ctx context.Context) error
}

// world is all users, and the network they are on.
type world struct {
	network Network
	users   []*user
	// lossy says that messages were lost: two changes that undo each other are
	// then no difference that a client could be told, but for the version.
	lossy bool
}

// newWorld creates the accounts; domain keeps them apart from others on the
// same network.
func newWorld(ctx context.Context, network Network, domain string, users int) (*world, error) {
	w := &world{network: network}
	var accounts []*directoryv1.NewAccount
	for i := range users {
		u := newUser(fmt.Sprintf("user%d@%s", i, domain), "secret", fmt.Sprintf("User%d", i))
		w.users = append(w.users, u)
		accounts = append(accounts, &directoryv1.NewAccount{Email: u.email, Password: u.password, Name: u.name})
	}
	answer, err := network.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: accounts})
	if err != nil {
		return nil, fmt.Errorf("create accounts: %w", err)
	}
	if len(answer.GetErrors()) > 0 {
		return nil, fmt.Errorf("create accounts: %v", answer.GetErrors()[0])
	}
	return w, nil
}

// address is where the next login goes: mostly straight to some node.
func (w *world) address(rng *rand.Rand) string {
	if rng.IntN(4) == 0 {
		return w.network.Dispatch()
	}
	return w.network.Notification(rng.IntN(64))
}

// round lets every user do so many things, all at once, and compares once
// the network is at rest.
func (w *world) round(ctx context.Context, seed uint64, acts int) error {
	if err := w.acting(ctx, seed, acts); err != nil {
		return err
	}
	return w.compare(ctx)
}

// acting is a round without the comparison.
func (w *world) acting(ctx context.Context, seed uint64, acts int) error {
	var group errgroup.Group
	for i, u := range w.users {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		group.Go(func() error {
			for range acts {
				if err := u.act(ctx, rng, w); err != nil {
					return fmt.Errorf("%s: %w\n%s", u.email, err, u.tail())
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// compare holds what each client was told against the truth.
func (w *world) compare(ctx context.Context) error {
	if err := w.fence(ctx); err != nil {
		return err
	}
	if err := w.network.Settle(ctx); err != nil {
		return err
	}
	if err := w.fence(ctx); err != nil {
		return err
	}
	var wrong []error
	for _, u := range w.users {
		if u.client == nil {
			continue
		}
		for _, o := range w.users {
			want := ""
			if u.status != "" && u.lists["FL"][o.email] {
				want = o.sees(u.email)
			}
			if got := u.told.presence[o.email]; got != want {
				wrong = append(wrong, fmt.Errorf("%s was told of %s: want %q, got %q\n%s\n%s", u.email, o.email, want, got, u.tail(), o.tail()))
			}
			if want, got := o.lists["FL"][u.email], u.told.reverse[o.email]; got != want {
				wrong = append(wrong, fmt.Errorf("%s has %s on RL: want %t, got %t\n%s", u.email, o.email, want, got, u.tail()))
			}
		}
		wrong = append(wrong, w.compareVersion(ctx, u))
	}
	return errors.Join(wrong...)
}

func (w *world) compareVersion(ctx context.Context, u *user) error {
	account, err := w.network.Accounts().GetAccount(ctx, &directoryv1.GetAccountRequest{Email: u.email})
	if err != nil {
		return err
	}
	want, got := uint64(account.GetSnapshot().GetVersion()), u.told.version
	if got != want && !(w.lossy && got < want) {
		return fmt.Errorf("%s was told list version %d, the directory has %d\n%s", u.email, got, want, u.tail())
	}
	return nil
}

func (w *world) fence(ctx context.Context) error {
	for _, u := range w.users {
		if err := u.fence(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s", u.email, err, u.tail())
		}
	}
	return nil
}

// tail is the last that a user's client said and heard.
func (u *user) tail() string {
	const lines = 40
	log := u.log[max(0, len(u.log)-lines):]
	return "  of " + u.email + ":\n    " + strings.Join(log, "\n    ")
}
