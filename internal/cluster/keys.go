package cluster

// What is in Redis. Every name begins with the prefix ("monarch:"), and every
// name carries a hash tag in braces, so that Redis Cluster finds its slot by
// that part alone. There no operation touches two slots: a step over two keys is
// two calls, and the first is acknowledged before the second begins. One server
// does the two in that order in one trip.
//
//	{nodes}            set of node ids, from before a node's first use of its
//	                   id until that id has been swept
//	node:{ID}          Node; a string with the lease's TTL, rewritten at each
//	                   beat as long as it exists
//	members:{ID}       set of emails; an email is in it before a session record
//	                   names that node, so it holds at least all of those
//	session:{EMAIL}    Session; a string without TTL while somebody is logged
//	                   in. With an empty node it is what a session leaves
//	                   behind: its epoch, for a minute
//	ticket:{TOKEN}     Ticket; a string that lives for seconds and is read once
//	inbox:{ID}         pub/sub channel (sharded on Redis Cluster) on which that
//	                   node hears Batches
//
// ID is 20 lower-case letters and digits, TOKEN 32 hexadecimal digits, EMAIL an
// email in lower case. Values are messages of monarch.cluster.v1.
type keys struct{ prefix string }

func (k keys) nodes() string               { return k.prefix + "{nodes}" }
func (k keys) node(id string) string       { return k.prefix + "node:{" + id + "}" }
func (k keys) members(id string) string    { return k.prefix + "members:{" + id + "}" }
func (k keys) session(email string) string { return k.prefix + "session:{" + email + "}" }
func (k keys) ticket(token string) string  { return k.prefix + "ticket:{" + token + "}" }
func (k keys) inbox(id string) string      { return k.prefix + "inbox:{" + id + "}" }
