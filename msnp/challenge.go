package msnp

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// NewChallenge returns a fresh challenge for the login by MD5, in the shape of
// the real ones, 1013928519.693957190. All digits are drawn at random, so
// that none is served twice and a recorded answer cannot be replayed.
func NewChallenge() string {
	return fmt.Sprintf("%010d.%09d", 1_000_000_000+random()%9_000_000_000, random()%1_000_000_000)
}

// Respond returns what a client that knows the password answers: the MD5 of
// the challenge followed by the password.
func Respond(challenge, password string) [md5.Size]byte {
	return md5.Sum([]byte(challenge + password))
}

// ParseResponse reads the 32 hex digits of an answer, in either case.
func ParseResponse(digits []byte) (sum [md5.Size]byte, ok bool) {
	if len(digits) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], digits)
	return sum, err == nil
}

// NewClientChallenge returns a fresh challenge of 20 digits for CHL, by which
// servers of MSNP6 and later ask whether the client is a known product.
func NewClientChallenge() string {
	return fmt.Sprintf("%010d%010d", random()%10_000_000_000, random()%10_000_000_000)
}

// productKeys has the products that QRY may name and the key that each shares
// with the service ("yellows' MSNP wiki").
var productKeys = map[string]string{
	DefaultProduct:     "Q1P7W2E4J9R8U3S5",
	"PROD0038W!61ZTF9": "VT6PX?UQTM4WM%YR",
	"PROD0058#7IL2{QD": "QHDCY@7R1TB6W?5B",
}

// DefaultProduct is the product id of the official clients of the time.
const DefaultProduct = "msmsgs@msnmsgr.com"

// RespondClient returns what a client of that product answers to CHL: the MD5
// of the challenge followed by the product's key. An unknown product is not
// ok.
func RespondClient(challenge, product string) (sum [md5.Size]byte, ok bool) {
	key, ok := productKeys[product]
	if !ok {
		return sum, false
	}
	return md5.Sum([]byte(challenge + key)), true
}

// random returns 64 random bits.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: it would have ended the program
	return binary.LittleEndian.Uint64(b[:])
}
