package msnp

// Admits is the privacy rule, here and nowhere else: may the observer see
// the observed, and call them? blpAllow is the observed one's BLP (true for
// AL), lists those lists of the observed on which the observer stands.
//
// The block list wins; then the allow list; and who is on neither is ruled by
// BLP, as the official client's dialog says with its entry "All other users".
// GTC and the observer's own lists play no part.
func Admits(blpAllow bool, lists List) bool {
	if lists.Has(BL) {
		return false
	}
	return lists.Has(AL) || blpAllow
}
