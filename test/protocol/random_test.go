package protocol

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
)

// How much nonsense is talked. MONARCH_RANDOM_SEED repeats a run's choices.
const (
	babblers = 8
	babbles  = 60 // connections of each
	lines    = 40 // commands on each connection, at most
)

// TestNonsenseHarmsNobody has clients say random and mutated commands in any
// state and any order. Nothing may be a fault of ours, nobody else may notice,
// and nothing of it may stay behind.
func TestNonsenseHarmsNobody(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("MONARCH_RANDOM_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MONARCH_RANDOM_SEED: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	redis := miniredis.RunT(t)
	n := start(t, allinone.Options{
		NotificationNodes: 2, Redis: "redis://" + redis.Addr(), Log: slog.New(faults{t}),
	})
	var emails []string
	var accounts []*directoryv1.NewAccount
	for i := range babblers {
		emails = append(emails, fmt.Sprintf("babbler%d@example.com", i))
		accounts = append(accounts, &directoryv1.NewAccount{Email: emails[i], Password: "secret"})
	}
	quiet := []string{"ann@example.org", "bob@example.org"}
	for _, email := range quiet {
		accounts = append(accounts, &directoryv1.NewAccount{Email: email, Password: "secret"})
	}
	if _, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{Accounts: accounts}); err != nil {
		t.Fatal(err)
	}
	bystanders := standBy(t, n, quiet)

	var group errgroup.Group
	for i := range babblers {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		group.Go(func() error {
			for range babbles {
				if err := babble(rng, n, emails); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Most of it is refused, but not all: or nothing was tried.
	versions, err := n.Directory().Versions(t.Context(), &directoryv1.VersionsRequest{Emails: emails})
	if err != nil {
		t.Fatal(err)
	}
	for email, version := range versions.GetVersions() {
		if version < 10 {
			t.Errorf("%s has list version %d: hardly an edit was understood", email, version)
		}
	}
	for _, c := range bystanders {
		if err := c.Send("PNG"); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Next(t.Context()); err != nil || m.Verb != "QNG" {
			t.Errorf("a bystander was sent %q, %v", m.Text, err)
		}
	}
	nothingLeft(t, redis, emails)
}

// standBy has the users log in and see each other.
func standBy(t *testing.T, n *allinone.Network, emails []string) []*client.Client {
	t.Helper()
	var clients []*client.Client
	for i, email := range emails {
		c, err := client.Login(t.Context(), client.Options{Dispatch: n.Notification(i), Email: email, Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Sync(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), "CHG", "NLN"); err != nil {
			t.Fatal(err)
		}
		for _, other := range emails {
			if other == email {
				continue
			}
			if _, err := c.Do(t.Context(), "ADD", "FL", other, "x"); err != nil {
				t.Fatal(err)
			}
		}
		clients = append(clients, c)
	}
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		drop(t, c)
	}
	return clients
}

// drop takes in what came before the answer of a Ping.
func drop(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Send("PNG"); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Verb == "QNG" {
			return
		}
	}
}

// nothingLeft waits until the babblers' sessions are given up.
func nothingLeft(t *testing.T, redis *miniredis.Miniredis, emails []string) {
	t.Helper()
	c, err := cluster.Open("redis://"+redis.Addr(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		found, err := c.Lookup(ctx, emails)
		if err == nil && len(found) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("sessions that nobody has any more: %v, %v", found, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, key := range redis.Keys() {
		if !strings.Contains(key, "members:") {
			continue
		}
		members, err := redis.SMembers(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if strings.HasPrefix(m, "babbler") {
				t.Errorf("%s still lists %s", key, m)
			}
		}
	}
}

// babble is one connection: mostly a login first, then nonsense.
func babble(rng *rand.Rand, n *allinone.Network, emails []string) error {
	address := n.Notification(rng.IntN(2))
	switch rng.IntN(8) {
	case 0:
		address = n.Dispatch()
	case 1:
		address = n.Switchboard(0)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if rng.IntN(4) > 0 {
		// Who is refused talks nonsense all the same.
		signIn(rng, conn, emails[rng.IntN(len(emails))])
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(io.Discard, conn)
	}()
	for range rng.IntN(lines) {
		say := sense
		if rng.IntN(12) == 0 {
			say = nonsense
		}
		if _, err := conn.Write(say(rng, emails)); err != nil {
			break // the server has had enough
		}
	}
	if half, ok := conn.(*net.TCPConn); ok && rng.IntN(2) == 0 {
		half.CloseWrite()
		<-read
		return nil
	}
	conn.Close()
	<-read
	return nil
}

// signIn logs in in a random dialect, as far as the server lets it.
func signIn(rng *rand.Rand, conn net.Conn, email string) {
	dialects := msnp.Dialects()
	fmt.Fprintf(conn, "VER 1 %s\r\nUSR 2 MD5 I %s\r\n", dialects[rng.IntN(len(dialects))], email)
	var heard []byte
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		heard = append(heard, buf[:n]...)
		text := string(heard)
		if _, after, ok := strings.Cut(text, "MD5 S "); ok && strings.Contains(after, "\r\n") {
			salt, _, _ := strings.Cut(after, "\r\n")
			fmt.Fprintf(conn, "USR 3 MD5 S %x\r\n", md5.Sum([]byte(salt+"secret")))
			return
		}
		if strings.Contains(text, "XFR") {
			return
		}
	}
}

var words = []string{
	"FL", "AL", "BL", "RL", "NLN", "BSY", "HDN", "FLN", "AWY", "A", "N", "BL", "0", "1", "2", "29", "30", "7",
	"4294967295", "4294967296", "-1", "007", "x", "%20", "%", "%G1", "%C3%A9", "\xc3\xa9", "\xff", "PHH", "PHW",
	"PHM", "MOB", "MBE", "XYZ", "MOBX", "Y", "ON", "OFF", "SB", "NS", "MD5", "I", "S", "MSNP7", "CVR0", "INBOX",
	"CHAT", "0x0409", "MSMSGS", "fname=Bob", "lname=*", "msmsgs@msnmsgr.com", "@", "a@b", "hello", "U", "32", "",
}

// sense is one command that a server understands, though it may refuse it.
func sense(rng *rand.Rand, emails []string) []byte {
	other := emails[rng.IntN(len(emails))]
	list := []string{"FL", "AL", "BL"}[rng.IntN(3)]
	forms := []string{
		"ADD %d " + list + " " + other + " x", "REM %d " + list + " " + other, "ADD %d FL " + other + " x 1",
		"ADG %d Work 0", "REG %d 1 Home 0", "RMG %d 1", "REA %d " + other + " y%%20z", "GTC %d N", "GTC %d A",
		"BLP %d BL", "BLP %d AL", "PRP %d PHH 123", "SYN %d 0", "LST %d RL", "LSG %d", "CHG %d NLN", "CHG %d HDN",
		"XFR %d SB", "URL %d INBOX", "FND %d fname=A", "CVR %d 0x0409 win 4.10 i386 MSMSGS 1.0.0863",
	}
	return fmt.Appendf(nil, forms[rng.IntN(len(forms))]+"\r\n", rng.IntN(1000))
}

// nonsense is one command: a verb of any server, arguments from a bag, a
// payload or a lie about one, and now and then a few bytes changed.
func nonsense(rng *rand.Rand, emails []string) []byte {
	verb := []string{"NLN", "FLN", "JOI", "RNG", "chg", "XXX", "QNG", "ACK"}[rng.IntN(8)]
	if rng.IntN(12) > 0 {
		verb = msnp.Verbs[rng.IntN(len(msnp.Verbs))].Verb
	}
	var b strings.Builder
	b.WriteString(verb)
	if verb != "PNG" && verb != "OUT" && rng.IntN(30) > 0 {
		fmt.Fprintf(&b, " %d", rng.IntN(1000))
	}
	for range rng.IntN(6) {
		b.WriteByte(' ')
		if rng.IntN(3) == 0 {
			b.WriteString(emails[rng.IntN(len(emails))])
		} else {
			b.WriteString(words[rng.IntN(len(words))])
		}
	}
	switch verb {
	case "MSG", "SDC", "PAG", "QRY":
		size := []int{0, 1, 32, 100, 1664, 1665}[rng.IntN(6)]
		fmt.Fprintf(&b, " %d\r\n%s", size, strings.Repeat("y", max(0, size-rng.IntN(2))))
	default:
		b.WriteString([]string{"\r\n", "\n", " \r\n", "\r\r\n"}[rng.IntN(4)])
	}
	line := []byte(b.String())
	if rng.IntN(25) == 0 {
		for range 1 + rng.IntN(3) {
			line[rng.IntN(len(line))] = byte(rng.IntN(256))
		}
	}
	if rng.IntN(200) == 0 {
		line = []byte("ADD 1 FL " + strings.Repeat("z", 9000) + "\r\n")
	}
	return line
}

// faults is a log in which nothing may be an error.
type faults struct{ t *testing.T }

func (faults) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (f faults) WithAttrs([]slog.Attr) slog.Handler         { return f }
func (f faults) WithGroup(string) slog.Handler              { return f }
func (f faults) Handle(_ context.Context, r slog.Record) error {
	f.t.Errorf("logged as a fault: %s", r.Message)
	r.Attrs(func(a slog.Attr) bool {
		f.t.Errorf("  %s", a)
		return true
	})
	return nil
}
