package store

import (
	"context"
	"errors"
	"fmt"
)

// reconnects is how often work is begun on one connection after another, where
// the connection and not the work was at fault.
const reconnects = 3

// anew runs do, and again where its connection turned out to be broken, or to
// lead to a server that does not take writes any more. Then do has changed
// nothing, unless it says so by errCommit. A server that cannot be reached at
// all is not waited for, and nothing is begun without time to do it in.
func (s *Store) anew(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == reconnects || errors.Is(err, errCommit) || ctx.Err() != nil || !s.engine.lost(err) {
			return s.classify(err)
		}
		// The other idle connections are likely to be no better.
		s.engine.renew()
	}
}

// classify makes an error of the database one that is ErrFull or ErrUnreachable
// as well, if it is of that kind.
func (s *Store) classify(err error) error {
	var refusal *Refusal
	switch {
	case err == nil, errors.As(err, &refusal), errors.Is(err, ErrFull), errors.Is(err, ErrUnreachable):
		return err
	case s.engine.full(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case s.engine.away(err):
		if said := s.engine.explain(err); errors.Is(said, ErrUnreachable) {
			return said // in fewer words
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}
