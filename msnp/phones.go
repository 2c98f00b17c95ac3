package msnp

// Phones are the numbers that a user publishes to the contacts on the allow
// list, from MSNP5 on. An unset number is sent as a key without a value.
type Phones struct {
	Home, Work, Mobile Nick // PHH, PHW, PHM
	Page               bool // MOB: contacts may page the mobile device
}
