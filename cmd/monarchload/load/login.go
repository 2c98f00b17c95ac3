package load

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// maxReferrals ends a login that is sent from server to server.
const maxReferrals = 8

// loginJob is a client that logs in. In mode Login it comes free again once it
// has logged out.
type loginJob struct {
	*client
	pacer *pacer
	again bool
	pause time.Duration // after the last login, where no server was there
}

func (j *loginJob) begin(due int64) bool {
	j.run.connections.Go(func() { j.live(due) })
	return true
}

// live is the life of a connection.
func (j *loginJob) live(due int64) {
	c, r := j.client, j.run
	conn, err := c.login(r.cfg.Retry)
	at := r.now()
	if err != nil {
		r.logins.failed(due, at, err)
		if j.again {
			j.rest(err)
			j.pacer.done(j)
		} else {
			j.pacer.dropped()
		}
		return
	}
	r.logins.done(due, at)
	j.pause = 0
	if j.again {
		r.stays.add(c, at+int64(r.cfg.Stay))
	}
	j.pacer.dropped()
	err = c.listen(conn)
	// What a client that logs out hears last is OUT, or nothing.
	if !j.again && !r.leaving.Load() {
		r.faults.error("connection: "+reason(err), 1)
	}
	c.gone()
	conn.drop()
	if j.again {
		j.pacer.release(j)
	}
}

// How long a login is followed by nothing in a closed loop if no server was
// there: at first, and at most.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// rest keeps a closed loop from dialing at full speed what is not there, which
// would be load on this machine alone. A refusal by a server is its work, and
// is followed by the next at once.
func (j *loginJob) rest(err error) {
	if !absent(err) || j.pacer.rate != 0 {
		j.pause = 0
		return
	}
	j.pause = min(max(firstPause, 2*j.pause), lastPause)
	t := time.NewTimer(j.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-j.pacer.stopped:
	}
}

// absent reports whether a login found no server, or one that hung up.
func absent(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF)
}

// failed counts an operation that came to nothing. What ran out of time has a
// latency nevertheless; what was refused has none, or a network that refuses
// everybody would look fast.
func (t *tally) failed(due, at int64, err error) {
	t.run.faults.error(t.name+": "+reason(err), 1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && t.run.within(due) {
		t.never(due, at)
	}
}

// login brings the client online, however often it has to try.
func (c *client) login(retries int) (*conn, error) {
	for {
		conn, err := c.tryLogin()
		if err == nil || retries == 0 || c.run.leaving.Load() {
			return conn, err
		}
		retries--
		c.run.faults.error("login tried again: "+reason(err), 1)
		time.Sleep(time.Second)
	}
}

// tryLogin goes from dispatch to a notification server, reads the lists and
// goes online. Once CHG is answered it returns the connection.
func (c *client) tryLogin() (*conn, error) {
	until := time.Now().Add(c.run.cfg.LoginDeadline)
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	addr := c.run.dialer.dispatch
	for range maxReferrals {
		conn, err := c.run.dialer.dial(ctx, c, addr)
		if err != nil {
			return nil, err
		}
		_ = conn.nc.SetDeadline(until) // fails on a closed connection only
		next, err := c.authenticate(conn)
		if err == nil && next == "" {
			if err = c.goOnline(conn); err == nil {
				_ = conn.nc.SetDeadline(time.Time{})
				return conn, nil
			}
		}
		conn.close()
		conn.drop()
		if err != nil {
			return nil, err
		}
		addr = next
	}
	return nil, fmt.Errorf("more than %d referrals", maxReferrals)
}

// ask sends a command without a payload, and returns the answer to it.
func (c *client) ask(conn *conn, verb, args string) (fields, error) {
	c.mu.Lock()
	trid := c.nextTrID()
	c.out = append(append(strconv.AppendUint(append(append(c.out[:0], verb...), ' '), uint64(trid), 10), args...), "\r\n"...)
	_, err := conn.nc.Write(c.out)
	c.mu.Unlock()
	if err != nil {
		return fields{}, err
	}
	line, _, err := conn.next()
	if err != nil {
		return fields{}, err
	}
	f := split(line)
	if got, ok := number(f[1]); !ok || got != trid {
		return f, errUnexpected(line)
	}
	if string(f[0]) != verb && len(f[0]) == 3 && f[0][0] <= '9' {
		return f, codeError(f[0])
	}
	return f, nil
}

// authenticate says who the client is. It returns the address of another server
// if it is sent there.
func (c *client) authenticate(conn *conn) (next string, err error) {
	f, err := c.ask(conn, "VER", " "+c.run.cfg.Dialect+" "+msnp.CVR0)
	if err != nil {
		return "", err
	}
	if string(f[2]) != c.run.cfg.Dialect {
		return "", f.unexpected()
	}
	if _, err = c.ask(conn, "INF", ""); err != nil {
		return "", err
	}
	if f, err = c.ask(conn, "USR", " MD5 I "+c.email); err != nil {
		return "", err
	}
	if string(f[0]) == "XFR" && string(f[2]) == "NS" && len(f[3]) > 0 {
		return string(f[3]), nil
	}
	if string(f[0]) != "USR" || string(f[3]) != "S" {
		return "", f.unexpected()
	}
	sum := msnp.Respond(string(f[4]), c.password)
	if f, err = c.ask(conn, "USR", " MD5 S "+hex.EncodeToString(sum[:])); err != nil {
		return "", err
	}
	if string(f[2]) != "OK" || string(f[3]) != c.email {
		return "", f.unexpected()
	}
	if c.name != string(f[4]) {
		c.name = string(f[4])
	}
	return "", nil
}

// goOnline reads the lists and sets the first status.
func (c *client) goOnline(conn *conn) error {
	c.mu.Lock()
	syn := c.nextTrID()
	c.out = append(strconv.AppendUint(append(c.out[:0], "SYN "...), uint64(syn), 10), " 0\r\n"...)
	_, err := conn.nc.Write(c.out)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.readLists(conn, syn); err != nil {
		return err
	}

	c.mu.Lock()
	c.conn = conn
	c.pending.Store(1)
	seq := uint32(1)
	c.seq.Store(seq)
	err = c.send(func(b []byte) []byte { return appendCHG(b, seq) })
	c.mu.Unlock()
	for err == nil {
		var line, payload []byte
		if line, payload, err = conn.next(); err != nil {
			break
		}
		if string(line[:min(4, len(line))]) == "CHG " {
			if string(split(line)[2]) == msnp.NLN.String() {
				c.answered = seq
				c.pending.Store(0)
				return nil
			}
			err = errUnexpected(line)
			break
		}
		if f := split(line); len(f[0]) == 3 && f[0][0] <= '9' {
			err = codeError(f[0])
			break
		}
		err = c.hear(conn, line, payload)
	}
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
	return err
}

// lists are what SYN said of those who are under load.
type lists struct {
	allowRest  bool // BLP
	allow, ban []int32
}

// readLists reads the answer to SYN, in which no entry may be missing.
func (c *client) readLists(conn *conn, syn uint32) error {
	l := c.lists
	if l == nil {
		l = new(lists)
	}
	l.allow, l.ban = l.allow[:0], l.ban[:0]
	c.contacts = c.contacts[:0]
	c.seq.Store(0)
	var list string
	var at, of uint32
	for {
		line, payload, err := conn.next()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("BPR ")) || bytes.HasPrefix(line, []byte("PRP ")) {
			continue
		}
		f := split(line)
		switch string(f[0]) {
		case "BLP": // BLP TrID ver AL
			l.allowRest = string(f[3]) == "AL"
		case "LST": // LST TrID list ver i n handle name
			if string(f[2]) != list {
				if at != of {
					return errUnexpected(line)
				}
				list, at = string(f[2]), 0
			}
			i, _ := number(f[4])
			n, _ := number(f[5])
			if n != 0 && i != at+1 || i > n || at > 0 && n != of {
				return errUnexpected(line)
			}
			at, of = i, n
			if other := c.run.byEmail[string(f[6])]; n > 0 && other != nil {
				switch list {
				case "FL":
					c.contacts = append(c.contacts, contact{who: other.id})
				case "AL":
					l.allow = append(l.allow, other.id)
				case "BL":
					l.ban = append(l.ban, other.id)
				}
			}
			if list == "RL" && at == of {
				slices.SortFunc(c.contacts, func(a, b contact) int { return int(a.who - b.who) })
				c.lists = l
				return nil
			}
		case "SYN", "GTC", "LSG", "MSG":
		default:
			if len(f[0]) == 3 && f[0][0] <= '9' {
				return codeError(f[0])
			}
			if err := c.hear(conn, line, payload); err != nil {
				return err
			}
		}
	}
}

// stays has those who are online for a while, in the order in which they leave.
type stays struct {
	mu    sync.Mutex
	queue []staying
	more  chan struct{}
	once  sync.Once
}

type staying struct {
	client *client
	until  int64
}

func (s *stays) wake() chan struct{} {
	s.once.Do(func() { s.more = make(chan struct{}, 1) })
	return s.more
}

// add lets a client leave then, at the earliest. All stay equally long.
func (s *stays) add(c *client, until int64) {
	if c.run.cfg.Stay == 0 {
		c.logout()
		return
	}
	wake := s.wake()
	s.mu.Lock()
	s.queue = append(s.queue, staying{c, until})
	s.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default:
	}
}

// run sends clients away as their time comes.
func (s *stays) run(ctx context.Context) {
	wake := s.wake()
	for {
		s.mu.Lock()
		var next staying
		if len(s.queue) > 0 {
			next = s.queue[0]
			s.queue = s.queue[1:]
		}
		s.mu.Unlock()
		if next.client == nil {
			select {
			case <-wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if sleep(ctx, time.Duration(next.until-next.client.run.now())) != nil {
			return
		}
		next.client.logout()
	}
}

// logout says OUT; the server then closes.
func (c *client) logout() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.send(func(b []byte) []byte { return append(b, "OUT\r\n"...) }) // who is gone has left
}

// prepareLogin makes the logins the work.
func (r *run) prepareLogin() []*pacer {
	r.worked = []*tally{r.logins}
	return []*pacer{r.loginPacer(r.clients, r.cfg.Rate, r.cfg.UnderWay)}
}

// loginPacer lets clients log in, and out again.
func (r *run) loginPacer(clients []*client, rate float64, underWay int) *pacer {
	p := newPacer(r.logins, rate, underWay, nil)
	for _, c := range clients {
		p.push(&loginJob{client: c, pacer: p, again: true})
	}
	return p
}

// bringUp logs clients in, and finds out who sees whom.
func (r *run) bringUp(ctx context.Context, clients []*client) error {
	p := newPacer(r.logins, r.cfg.LoginRate, r.cfg.LoginsUnderWay, nil)
	for _, c := range clients {
		p.push(&loginJob{client: c, pacer: p})
	}
	begin := r.now()
	if p.rate > 0 {
		p.until.Store(begin + int64((float64(len(clients))-0.5)/p.rate*1e9))
	}
	p.fill()
	p.run(ctx, begin)
	if err := p.exhaust(ctx); err != nil {
		return err
	}
	var up []*client
	for _, c := range clients {
		c.mu.Lock()
		online := c.conn != nil
		c.mu.Unlock()
		if online {
			up = append(up, c)
		}
	}
	if len(up) == 0 {
		return fmt.Errorf("%w: %s", ErrNobody, r.faults.most())
	}
	r.link(up)
	// What the logins have needed is neither in the way nor in the figures of
	// what follows.
	debug.FreeOSMemory()
	return r.awaitAll(ctx, up)
}

// most names the errors there were.
func (f *faults) most() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for kind, n := range f.errors {
		all = append(all, fmt.Sprintf("%s (%d)", kind, n))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return errors.New("nothing was answered in time")
	}
	return fmt.Errorf("%s", all)
}
