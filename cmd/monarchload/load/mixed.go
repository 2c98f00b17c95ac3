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
	sum := cfg.Logins + cfg.Statuses + cfg.Edits + cfg.Messages
	share := func(weight int) (rate float64, underWay int) {
		part := float64(weight) / float64(sum)
		return cfg.Rate * part, max(1, int(float64(cfg.UnderWay)*part+0.5))
	}
	var pacers []*pacer
	if cfg.Messages > 0 {
		if err := r.openRooms(ctx, staying); err != nil {
			return nil, err
		}
		rate, underWay := share(cfg.Messages)
		pacers = append(pacers, r.messagePacer(rate, underWay))
	}
	if cfg.Statuses > 0 {
		rate, underWay := share(cfg.Statuses)
		pacers = append(pacers, r.statusPacer(staying, rate, underWay))
	}
	if cfg.Edits > 0 {
		rate, underWay := share(cfg.Edits)
		p, err := r.editPacer(staying, rate, underWay)
		if err != nil {
			return nil, err
		}
		pacers = append(pacers, p)
	}
	if cfg.Logins > 0 {
		rate, underWay := share(cfg.Logins)
		pacers = append(pacers, r.loginPacer(passing, rate, underWay))
	}
	for _, p := range pacers {
		r.worked = append(r.worked, p.tally)
	}
	return pacers, nil
}
