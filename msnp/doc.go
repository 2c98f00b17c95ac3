// Package msnp is the wire protocol of MSN Messenger, MSNP2 to MSNP7, as
// data: its vocabulary, and a codec for its lines. It knows no sockets, no
// users and no servers, and depends on the standard library alone.
//
// # The story of a session
//
// A client opens a TCP connection to a dispatch server, says which versions
// it speaks, and is sent on:
//
//	C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
//	S: VER 1 MSNP7
//	C: INF 2
//	S: INF 2 MD5
//	C: USR 3 MD5 I ann@example.com
//	S: XFR 3 NS 192.0.2.5:1863 0 192.0.2.1:1863
//
// On a new connection to that notification server it begins anew, counting
// its transaction ids on, and proves that it knows the password:
//
//	C: USR 6 MD5 I ann@example.com
//	S: USR 6 MD5 S 1726321960.482915073
//	C: USR 7 MD5 S bec0ba62b515cf44b19b7acfb9e82524
//	S: USR 7 OK ann@example.com Ann 1
//	S: MSG Hotmail Hotmail 363          and 363 bytes of profile
//
// It asks for its lists, naming the version that it has kept (SYN), and
// publishes a state; only then is it seen, and sees:
//
//	C: CHG 9 NLN
//	S: CHG 9 NLN
//	S: ILN 9 BSY bob@example.com Bob
//
// From here both sides speak when they like. The server tells of contacts
// (NLN, FLN), of people who added the user (ADD 0 RL) and of invitations
// (RNG); the client edits lists (ADD, REM, ADG) and changes its state. To
// chat it asks for a switchboard (XFR SB), where USR or ANS with a cookie
// opens a session, CAL invites, and MSG goes to everybody in it.
//
// # Lines
//
// A command is a line of words: three upper-case letters, a transaction id in
// most, arguments, CRLF. The answer carries the id of its command; what
// nobody asked for carries none, or 0. Errors are a number and that id. A few
// commands have a payload: the last argument is its length in bytes, it
// begins on the byte after the line, and nothing ends it.
//
// Servers write one space between words, printable ASCII, the exact number of
// words of the version; clients count on it. Servers read whatever clients of
// the time were seen to send: bare LF, tabs, blank lines, raw UTF-8 in names.
// Reader and Line are these two attitudes.
//
// # Versions
//
// Each version added words to the one before. A Dialect is the set of
// features that a connection has negotiated; the lines that differ are its
// methods. Verbs says of every command in which phase of a connection, on
// which servers and with which feature it may be used.
//
// Facts are taken from the MSNP7 seed session, yellows' MSNP wiki,
// hypothetic.org (written against the live service of 2003), the IETF draft
// movva-msn-messenger-protocol-00, and from clients of the time.
package msnp
