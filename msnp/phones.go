package msnp

// Phones are the numbers that a user publishes to the contacts on the allow
// list, from MSNP5 on. An unset number is sent as a key without a value.
type Phones struct {
	Home, Work, Mobile Nick // PHH, PHW, PHM
	Page               bool // MOB: contacts may page the mobile device
}

// Set stores the value of PHH, PHW, PHM or MOB, where MOB is on with Y. Another
// key changes nothing and is not ok.
func (p *Phones) Set(key string, value Nick) (ok bool) {
	switch key {
	case "PHH":
		p.Home = value
	case "PHW":
		p.Work = value
	case "PHM":
		p.Mobile = value
	case "MOB":
		p.Page = value == "Y"
	default:
		return false
	}
	return true
}
