package cluster

import (
	"context"
	"errors"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// epochKept is how long a record without a node remembers its epoch: longer
// than any two clocks of one network should differ.
const epochKept = time.Minute

// record is a session record as it was read: the bytes, against which a later
// write compares, and what they say.
type record struct {
	raw string
	// session is nil if there is no record, and without a node if nobody is
	// logged in.
	session *clusterv1.Session
}

func (r record) exists() bool { return r.session != nil }

// names reports whether somebody is logged in on that node.
func (r record) names(node string) bool { return node != "" && r.session.GetNode() == node }

// parseRecord reads a record. What cannot be read counts as left behind by
// nobody: it stands in nobody's way and is overwritten like any old record.
func parseRecord(email, raw string) record {
	s := new(clusterv1.Session)
	if err := proto.Unmarshal([]byte(raw), s); err != nil || s.Epoch >= maxEpoch {
		s = new(clusterv1.Session)
	}
	s.Email = email
	return record{raw, s}
}

// encode renders a record. The same session gives the same bytes, so a writer
// can compare against what it wrote without reading it back.
func encode(s *clusterv1.Session) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(s)
}

// remains returns what a session leaves behind: its epoch. With an id it also
// says that this very session ended, and does not come back.
func remains(email, id string, epoch uint64) *clusterv1.Session {
	return &clusterv1.Session{Id: id, Email: email, Epoch: epoch}
}

// read reads one session record and learns from its epoch.
func (c *Client) read(ctx context.Context, email string) (record, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	return c.parse(email, c.rdb.Get(ctx, c.keys.session(email)))
}

// parse takes the reply of a GET or SET ... GET of one session record.
func (c *Client) parse(email string, reply interface{ Result() (string, error) }) (record, error) {
	raw, err := reply.Result()
	if errors.Is(err, redis.Nil) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	return c.learn(email, raw), nil
}

// parseAll takes the reply of an MGET of the records of emails.
func (c *Client) parseAll(emails []string, reply *redis.SliceCmd) ([]record, error) {
	values, err := reply.Result()
	if err != nil {
		return nil, err
	}
	records := make([]record, len(emails))
	for i, v := range values {
		if raw, ok := v.(string); ok {
			records[i] = c.learn(emails[i], raw)
		}
	}
	return records, nil
}

// learn reads a record and takes note of its epoch.
func (c *Client) learn(email, raw string) record {
	r := parseRecord(email, raw)
	c.epochs.observe(r.session.Epoch)
	return r
}

// replaceScript writes ARGV[2] where ARGV[1] stands, to live for ARGV[3]
// milliseconds, or for good if that is 0, and takes ARGV[4] out of the set
// KEYS[2], if there is one.
var replaceScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if KEYS[2] then redis.call('SREM', KEYS[2], ARGV[4]) end
return 1`)

// replace writes s in the place of old, and reports whether old still stood
// there. All decisions are made in Go on what was read; this makes sure that
// they were made on the record as it is.
func (c *Client) replace(ctx context.Context, old record, s *clusterv1.Session) (bool, error) {
	return c.replaceAndLeave(ctx, old, s, "")
}

// replaceAndLeave does the same, and where it writes takes the email out of the
// members of a node that is named. On Redis Cluster none may be: they are two
// slots.
func (c *Client) replaceAndLeave(ctx context.Context, old record, s *clusterv1.Session, node string) (bool, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	value, err := encode(s)
	if err != nil {
		return false, err
	}
	key, ttl := c.keys.session(s.Email), time.Duration(0)
	if s.Node == "" {
		ttl = epochKept
	}
	if !old.exists() {
		err := c.rdb.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		if errors.Is(err, redis.Nil) {
			return false, nil
		}
		return err == nil, err
	}
	keys := []string{key}
	if node != "" {
		keys = append(keys, c.keys.members(node))
	}
	n, err := replaceScript.Run(ctx, c.rdb, keys, old.raw, value, ttl.Milliseconds(), s.Email).Int()
	return n == 1, err
}
