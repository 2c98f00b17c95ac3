// Package script plays transcripts: who sends which lines to the servers and
// who receives which, from files in testdata. The files are the executable
// specification of what a client of MSNP2 to MSNP7 sees; adding a case needs
// no Go.
//
// # A file
//
// It begins with a sentence that says what it shows, then names the dialects it
// holds for and the accounts that exist when it starts; the conversation
// follows.
//
//	A status change reaches those who have the user on their list.
//
//	dialects: all
//	account ann@example.com Ann
//	   FL bob
//	account bob@example.com Bob
//	   FL ann
//
//	online ann bob
//	ann> CHG 9 AWY
//	ann< CHG 9 AWY
//	bob< NLN AWY ann@example.com Ann
//
// A file is played once for each dialect it names, each time with accounts of
// its own: ann@example.com becomes an address nobody else has on the way to
// the server and ann@example.com again on the way back, so that many
// transcripts share one running network. The same transcript holds on a
// network of one notification node and on one of many, where neighbouring
// accounts live on different nodes.
//
// # Header
//
//	dialects: all               or "MSNP5+", "MSNP2-4 MSNP7"
//	account EMAIL [NAME]        NAME as on the wire; without it, the email
//	friends ann bob cat         each has each other on FL and AL
//
// An account is called by the part of its address before the @. Indented lines
// below it describe it in the protocol's own words:
//
//	password TEXT               or "secret-" and the account's short name
//	PHH TEXT                    likewise PHW and PHM
//	MOB Y, MBE Y, GTC N, BLP BL
//	group NAME                  under the next id, from 1
//	FL bob [NAME [0,1]]         NAME as bob is called by default
//	AL bob [NAME], BL bob [NAME]
//	crowd 149                   that many strangers on FL and AL
//	version 9                   the list version once all this is done
//
// # Conversation
//
// Each connection is named for its account; digits tell several of one
// account apart (ann, ann2).
//
//	connect ann dispatch        open a connection to the dispatch server,
//	connect ann notification    to the account's own notification node,
//	connect ann notification 2  or to the second node
//	connect a $address          to an address that a line has named
//	follow ann                  close it and go where the last XFR pointed
//	drop ann                    close it without a word
//	bytewise ann                from now on, one byte in each write
//	login ann                   everything up to USR OK and the profile
//	online ann bob AWY          login, SYN with version 0 and CHG, for each;
//	                            then forget the presence that this caused
//	chat a ann                  ann asks for a switchboard (XFR SB) and opens a
//	                            chat there on a connection called a
//	call a bob b                from there bob is called, and enters on b; all
//	                            who entered before by chat or call hear of it
//	settle                      nothing more may have come to anybody
//	drain notification 1        take a node, or a switchboard, out of service;
//	resume notification 1       and put it back. A transcript with these has a
//	                            network of its own, see Drainer
//
// A connection to a switchboard is called what the script likes; whose it is
// follows from how it was opened.
//
// In login and online a dialect after the name (login ann MSNP2) is used in
// place of the one that the file is played for.
//
//	ann> PNG                    send the line and CRLF
//	ann>+ PNG                   the same, in one write with what ann sends next
//	ann>! PNG\n                 send exactly this, with \r \n \t \0 \xNN \\
//	ann< QNG                    the next line that ann receives
//	ann<~ ILN 9 NLN *           one of the next lines, in the order they come,
//	                            as many as there are such lines in a row
//	ann< closed                 the server closes the connection
//
// In an expected line * stands for one word, $name takes the word the first
// time and means the same word later; $name+1 adds to a number. In a line to
// send $name is replaced too, and so are $md5($salt,password), $MD5(...) in
// upper-case digits, and $repeat(text,times). Known from the start are
// $dialect, $offer (what the official client of that dialect offers in VER)
// and $dispatch (the address of the dispatch server).
//
// Payload follows its line, indented: "|text" is text and CRLF, "=text" is text
// alone, "*" in place of both is any payload. $len in the line is its length in
// bytes.
//
//	[MSNP5+] ann< BPR 3 bob@example.com MOB N
//
// holds for those dialects only, and so does the payload below it. A line that
// starts with -- is a comment.
//
// # Silence
//
// A line that nobody expected is a failure wherever it shows. Where the script
// says settle, and at its end, every connection is asked for a sign of life
// (PNG), the network settles, and they are asked again: nothing but the
// answers may come. A connection that has not logged in, or entered a chat, cannot be asked; at the
// end it hangs up, and the server closes it without another word.
//
// Every line from a server must also be well formed: CRLF at its end, printable
// ASCII, one space between words, none at the end.
package script
