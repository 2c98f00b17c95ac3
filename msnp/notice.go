package msnp

import (
	"fmt"
	"strconv"
	"strings"
)

// Notices are what the service itself says to a client: messages whose sender
// is Hotmail, and alerts.

// MaxNotice is the longest text of an alert, and of a header in a mail notice,
// in bytes of UTF-8. Ordinary text then stays below the 1664 bytes that clients
// of the time are known to read at once, the rest of the notice included.
const MaxNotice = 400

// AppendSystemMessage renders the one system message that clients of all
// versions can show: the service goes down in so many minutes ("yellows' MSNP
// wiki").
func AppendSystemMessage(l *Line, minutes uint32) {
	body := newBody(l, "application/x-msmsgssystemmessage")
	body.field("Type", "1")
	body.number("Arg1", minutes)
	body.end()
}

// Mailbox is what the initial mail message says of a user's mail.
type Mailbox struct {
	Unread, UnreadElsewhere uint32 // in the inbox, and in other folders
	Inbox, Folders          string // pages, as URL names them
	Login                   string // the form to log in at, as URL names it
}

// AppendMailbox renders the initial mail message, which follows the first CHG.
func (d *Dialect) AppendMailbox(l *Line, m Mailbox) {
	body := newBody(l, d.mailType("text/x-msmsgsinitialemailnotification; charset=UTF-8"))
	body.number("Inbox-Unread", m.Unread)
	body.number("Folders-Unread", m.UnreadElsewhere)
	body.field("Inbox-URL", d.page(m.Inbox))
	body.field("Folders-URL", d.page(m.Folders))
	body.field("Post-URL", m.Login)
	body.end()
}

// Mail is one mail that has arrived.
type Mail struct {
	From    string // the sender's name, plain text
	Address string // and address
	Subject string // plain text
	Page    string // where it can be read, as URL names it
	Login   string // the form to log in at
	ID      uint32 // tells it from others of the session
}

// AppendMail renders the notice of a mail that has arrived in the inbox, which
// clients call ACTIVE.
func (d *Dialect) AppendMail(l *Line, m Mail) {
	body := newBody(l, d.mailType("text/x-msmsgsemailnotification; charset=UTF-8"))
	body.field("From", m.From)
	body.field("Message-URL", d.page(m.Page))
	body.field("Post-URL", m.Login)
	body.field("Subject", m.Subject)
	body.field("Dest-Folder", "ACTIVE")
	body.field("From-Addr", m.Address)
	if d.Has(Passport) {
		body.number("id", m.ID)
	}
	body.end()
}

// mailType is the type of a mail message: MSNP2 has one for all.
func (d *Dialect) mailType(later string) string {
	if d.Has(Passport) {
		return later
	}
	return "application/x-msmsgsemailnotification"
}

// Alert is a text that a client shows for a while in a corner of the screen.
type Alert struct {
	ID     uint32 // tells it from others; the client shows each once
	UserID uint64
	Email  Email
	Site   string // page that opens at a click
	Text   string // plain text
}

// AppendAlert renders an alert as NOT, and nothing for a client before MSNP5,
// which has no such thing. Its payload ends in a line end, so that a client
// which does not know that NOT has one finds the next command at the beginning
// of a line.
func (d *Dialect) AppendAlert(l *Line, a Alert) {
	if !d.Has(Alerts) {
		return
	}
	xml := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	payload := fmt.Appendf(l.scratch[:0], "<NOTIFICATION ver=\"1\" id=\"%d\" siteid=\"0\" siteurl=\"%s\">\r\n"+
		"<TO pid=\"0x%08X:0x%08X\" name=\"%s\" />\r\n"+
		"<MSG id=\"%d\">\r\n<ACTION url=\"\" />\r\n<SUBSCR url=\"\" />\r\n"+
		"<BODY lang=\"1033\">\r\n<TEXT>%s</TEXT>\r\n</BODY>\r\n</MSG>\r\n</NOTIFICATION>\r\n",
		a.ID, xml.Replace(a.Site), uint32(a.UserID>>32), uint32(a.UserID), xml.Replace(a.Email.String()),
		a.ID, xml.Replace(noticeText(a.Text)))
	l.scratch = payload
	l.Verb("NOT").Payload(payload)
}

// noticeText makes one line of a text: control characters become blanks, and
// what is too long is cut.
func noticeText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > MaxNotice {
		text = strings.ToValidUTF8(text[:MaxNotice], "")
	}
	return text
}

// body is the payload of a message from Hotmail.
type body struct {
	line *Line
	text []byte
}

func newBody(l *Line, contentType string) *body {
	return &body{l, append(append(l.scratch[:0], "MIME-Version: 1.0\r\nContent-Type: "...), contentType+"\r\n\r\n"...)}
}

func (b *body) field(name, value string) {
	b.text = append(append(b.text, name...), ": "...)
	b.text = append(append(b.text, noticeText(value)...), "\r\n"...)
}

func (b *body) number(name string, n uint32) { b.field(name, strconv.FormatUint(uint64(n), 10)) }

// end closes the body with an empty line, as the profile message has it, and
// sends it.
func (b *body) end() {
	b.text = append(b.text, "\r\n"...)
	b.line.scratch = b.text
	b.line.Verb("MSG").Word("Hotmail").Word("Hotmail").Payload(b.text)
}
