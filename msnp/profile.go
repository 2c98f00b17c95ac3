package msnp

import (
	"cmp"
	"strconv"
)

// A Profile is what the message behind USR OK tells a client of its user.
// Colons, blanks and line ends are dropped from its texts: every field is a
// header, and Twisted's client of 2003 splits one at each colon.
type Profile struct {
	LoginTime int64  // Unix time in seconds
	UserID    uint64 // goes out as MemberIdHigh and MemberIdLow
	Email     Email
	HasMail   bool   // EmailEnabled: shows the client's mail features
	Language  uint16 // Windows locale id; 0 means 1033, English
	Country   string // "" means US
	Kid       bool
	MSPAuth   string // token for the web pages, opaque
}

// AppendProfile renders the profile message. MSNP2 has the time of login
// only; later ones have all fields, with one blank behind the colon of an
// empty one (the length 367 of the seed session proves it).
func (d *Dialect) AppendProfile(l *Line, p Profile) {
	b := append(l.scratch[:0], "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsprofile; charset=UTF-8\r\n"...)
	number := func(name string, n uint64) {
		b = append(append(b, name...), ": "...)
		b = append(strconv.AppendUint(b, n, 10), "\r\n"...)
	}
	text := func(name, value string) {
		b = append(append(b, name...), ": "...)
		for i := range len(value) {
			if c := value[i]; c > ' ' && c != ':' && c != 0x7f {
				b = append(b, c)
			}
		}
		b = append(b, "\r\n"...)
	}
	flag := func(name string, on bool) {
		var n uint64
		if on {
			n = 1
		}
		number(name, n)
	}
	number("LoginTime", uint64(max(p.LoginTime, 0)))
	if d.Has(Passport) {
		flag("EmailEnabled", p.HasMail)
		number("MemberIdHigh", p.UserID>>32)
		number("MemberIdLow", p.UserID&(1<<32-1))
		number("lang_preference", uint64(cmp.Or(p.Language, 1033)))
		text("PreferredEmail", p.Email.String())
		text("country", cmp.Or(p.Country, "US"))
		text("PostalCode", "")
		text("Gender", "")
		flag("Kid", p.Kid)
		text("Age", "")
		text("BDayPre", "")
		text("Birthday", "")
		text("Wallet", "")
		number("Flags", 1027)
		number("sid", 507)
		number("kv", 11)
		text("MSPAuth", p.MSPAuth)
	}
	b = append(b, "\r\n"...)
	l.scratch = b
	l.Verb("MSG").Word("Hotmail").Word("Hotmail").Payload(b)
}
