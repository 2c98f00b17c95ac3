package switchboard

import (
	"context"
	"time"
)

// Drain takes the node out of service for good: new conversations go to other
// nodes, and it waits for the rooms of this one to end. Whoever holds a ticket or
// an invitation is still let in. What is left when the drain time is up is
// closed. It returns then, or with an error when ctx ended before; Run goes on
// until its own context ends.
func (s *Service) Drain(ctx context.Context) error { return s.drain.Leave(ctx) }

// BeginDrain starts what Drain does and returns at once; Resume takes it back, as
// far as it has not been done, and reports whether the node serves: not where
// Drain was called. They are what the operator asks for.
func (s *Service) BeginDrain() { s.drain.Begin() }

// Resume puts the node back into service, see BeginDrain.
func (s *Service) Resume() bool { return s.drain.Resume() }

// emptyTick is how often a drain looks whether anybody is left.
const emptyTick = 20 * time.Millisecond

// empty waits until nobody is here: nobody in a room, nobody connected who may
// be about to enter, and nobody on the way. Who was given a ticket just before
// the last notification node learned of the drain comes within the arrival time;
// the tickets themselves are good for longer, but clients use them at once.
func (s *Service) empty(ctx context.Context) {
	begun := time.Now()
	tick := time.NewTicker(emptyTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		past := time.Since(begun)
		if past >= s.cfg.ArrivalTime && s.rooms.len() == 0 && s.front.Connections() == 0 {
			return
		}
		if past >= s.cfg.DrainTime {
			if left := s.endRooms(); left > 0 {
				s.log.Info("closed the rooms that were left", "rooms", left)
			}
			return
		}
	}
}

// endRooms closes all rooms and returns how many there were.
func (s *Service) endRooms() int {
	rooms := s.rooms.all()
	for _, r := range rooms {
		r.end()
	}
	return len(rooms)
}
