package msnp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

// hotmail is a message of the service with this payload.
func hotmail(payload string) string {
	payload = strings.ReplaceAll(payload, "\n", "\r\n")
	return fmt.Sprintf("MSG Hotmail Hotmail %d\r\n%s", len(payload), payload)
}

func TestAppendSystemMessage(t *testing.T) {
	var l msnp.Line
	msnp.AppendSystemMessage(&l, 5)
	want := "MSG Hotmail Hotmail 90\r\nMIME-Version: 1.0\r\nContent-Type: application/x-msmsgssystemmessage\r\n\r\nType: 1\r\nArg1: 5\r\n\r\n"
	if got := string(l.Bytes()); got != want {
		t.Errorf("system message:\nwant %q\n got %q", want, got)
	}
}

func TestAppendMailbox(t *testing.T) {
	fields := "\n\nInbox-Unread: 3\nFolders-Unread: 1\nInbox-URL: %s/inbox\nFolders-URL: /folders\nPost-URL: http://login.example.com/form\n\n"
	later := fmt.Sprintf("MIME-Version: 1.0\nContent-Type: text/x-msmsgsinitialemailnotification; charset=UTF-8"+fields, "http://mail.example.com")
	want := since(0, hotmail(later))
	want[0] = hotmail(fmt.Sprintf("MIME-Version: 1.0\nContent-Type: application/x-msmsgsemailnotification"+fields, ""))
	eachDialect(t, "initial mail", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendMailbox(l, msnp.Mailbox{
			Unread: 3, UnreadElsewhere: 1,
			Inbox: "http://mail.example.com/inbox", Folders: "/folders", Login: "http://login.example.com/form",
		})
	}, want)
}

func TestAppendMail(t *testing.T) {
	fields := "\n\nFrom: Bob  Roe\nMessage-URL: /inbox\nPost-URL: http://login.example.com/form\n" +
		"Subject: Grüße: 1\nDest-Folder: ACTIVE\nFrom-Addr: bob@example.net\n"
	want := since(0, hotmail("MIME-Version: 1.0\nContent-Type: text/x-msmsgsemailnotification; charset=UTF-8"+fields+"id: 7\n\n"))
	want[0] = hotmail("MIME-Version: 1.0\nContent-Type: application/x-msmsgsemailnotification" + fields + "\n")
	eachDialect(t, "new mail", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendMail(l, msnp.Mail{
			From: "Bob\r\nRoe", Address: "bob@example.net", Subject: "Grüße: 1", ID: 7,
			Page: "/inbox", Login: "http://login.example.com/form",
		})
	}, want)
}

func TestAppendAlert(t *testing.T) {
	payload := strings.ReplaceAll(`<NOTIFICATION ver="1" id="9" siteid="0" siteurl="http://example.com/?a=1&amp;b">
<TO pid="0x00000001:0x0000000A" name="ann@example.com" />
<MSG id="9">
<ACTION url="" />
<SUBSCR url="" />
<BODY lang="1033">
<TEXT>&lt;Tea&gt; &amp; "cake" at five</TEXT>
</BODY>
</MSG>
</NOTIFICATION>
`, "\n", "\r\n")
	payload = strings.ReplaceAll(payload, `"cake"`, "&quot;cake&quot;")
	eachDialect(t, "NOT", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendAlert(l, msnp.Alert{ID: 9, UserID: 1<<32 + 10, Email: ann, Site: "http://example.com/?a=1&b", Text: "<Tea> & \"cake\"\nat five"})
	}, since(3, fmt.Sprintf("NOT %d\r\n%s", len(payload), payload)))

	var l msnp.Line
	msnp.MSNP7.AppendAlert(&l, msnp.Alert{Email: ann, Text: strings.Repeat("é", msnp.MaxNotice)})
	if got := strings.Count(string(l.Bytes()), "é"); got != msnp.MaxNotice/len("é") {
		t.Errorf("a text that is too long: %d letters are left, want %d", got, msnp.MaxNotice/len("é"))
	}
}
