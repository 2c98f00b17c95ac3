package load

import "context"

// loginShare is the part of the accounts of Mixed that log in and out; all
// others stay.
const loginShare = 0.2

// prepareMixed divides clients and operations by the weights.
func (r *run) prepareMixed(ctx context.Context) ([]*pacer, error) {
	cfg := &r.cfg
	var passing []*client
	staying := r.clients
	if cfg.Logins > 0 {
		n := max(1, int(loginShare*float64(len(r.clients))))
		passing, staying = r.clients[:n], r.clients[n:]
	}
	if err := r.bringUp(ctx, staying); err != nil {
		return nil, err
	}
	var pacers []*pacer
	for _, kind := range []struct {
		weight int
		pacer  func(rate float64, underWay int) (*pacer, error)
	}{
		{cfg.Messages, func(rate float64, underWay int) (*pacer, error) {
			if err := r.openRooms(ctx, staying); err != nil {
				return nil, err
			}
			return r.messagePacer(rate, underWay), nil
		}},
		{cfg.Statuses, func(rate float64, underWay int) (*pacer, error) {
			return r.statusPacer(staying, rate, underWay), nil
		}},
		{cfg.Edits, func(rate float64, underWay int) (*pacer, error) {
			return r.editPacer(staying, rate, underWay)
		}},
		{cfg.Logins, func(rate float64, underWay int) (*pacer, error) {
			return r.loginPacer(passing, rate, underWay), nil
		}},
	} {
		if kind.weight == 0 {
			continue
		}
		share := float64(kind.weight) / float64(cfg.Logins+cfg.Statuses+cfg.Edits+cfg.Messages)
		p, err := kind.pacer(cfg.Rate*share, max(1, int(float64(cfg.UnderWay)*share+0.5)))
		if err != nil {
			return nil, err
		}
		p.share = share
		r.worked = append(r.worked, p.tally)
		pacers = append(pacers, p)
	}
	return pacers, nil
}
