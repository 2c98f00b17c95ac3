package front

import "net"

// A Listener is a socket with the address under which clients reach it.
type Listener struct {
	net.Listener
	// Name pairs the listeners of different nodes: a client is sent on to the
	// listener that is named as the one by which it came. Empty for the only
	// one.
	Name string
	// Advertise is host:port as it goes into XFR and RNG. Without a host it
	// stands for the one by which each client came, see Address.
	Advertise string
}

// Address returns host:port by which the client on c knows this server.
func (l *Listener) Address(c *Conn) string {
	host, port, err := net.SplitHostPort(l.Advertise)
	if err != nil || host != "" {
		return l.Advertise
	}
	return net.JoinHostPort(c.LocalAddr().Addr().String(), port)
}
