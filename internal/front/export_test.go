package front

import "time"

// SetLinger replaces the time that a closed client is waited for, for
// connections that are accepted from now on.
func (s *Server) SetLinger(d time.Duration) {
	s.mu.Lock() // every connection takes it before it is served
	defer s.mu.Unlock()
	s.lingerTime = d
}
