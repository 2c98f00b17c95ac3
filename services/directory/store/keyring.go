package store

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A keyring holds the keys that seal passwords. MD5 logins need the password
// itself on the server, so it cannot be hashed; but whoever has the database
// without the key file has no password.
type keyring struct {
	byID map[string]cipher.AEAD
	// first is the id of the key that seals.
	first string
	// nobody stands for every account that does not exist, see Login. Unlock
	// makes it.
	nobody credential
}

// sealed is a password at rest.
type sealed struct {
	key string
	// box is a random nonce and what XChaCha20-Poly1305 made of the password.
	// The nonce is long enough to be drawn at random for each.
	box []byte
}

// What a box is bound to, so that one taken from elsewhere does not open: a
// password to its user, a proof to its key.
func passwordOf(user int64) []byte {
	return binary.BigEndian.AppendUint64([]byte("monarch password "), uint64(user))
}

func proofOf(key string) []byte { return []byte("monarch key " + key) }

// proofText is what a proof seals.
const proofText = "monarch"

func (r *keyring) seal(text string, bound []byte) sealed {
	aead := r.byID[r.first]
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	rand.Read(nonce)
	return sealed{key: r.first, box: aead.Seal(nonce, nonce, []byte(text), bound)}
}

func (r *keyring) open(s sealed, bound []byte) ([]byte, error) {
	aead, ok := r.byID[s.key]
	if !ok {
		return nil, fmt.Errorf("the key file has no key %s", s.key)
	}
	if len(s.box) < aead.NonceSize() {
		return nil, errors.New("the sealed text is too short")
	}
	text, err := aead.Open(nil, s.box[:aead.NonceSize()], s.box[aead.NonceSize():], bound)
	if err != nil {
		return nil, fmt.Errorf("the sealed text does not open with key %s", s.key)
	}
	return text, nil
}

// proves reports whether this ring's key of that id is the one that made the
// proof.
func (r *keyring) proves(id string, proof []byte) bool {
	text, err := r.open(sealed{key: id, box: proof}, proofOf(id))
	return err == nil && string(text) == proofText
}

func (r *keyring) add(id string, key []byte) error {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return err
	}
	if r.byID == nil {
		r.byID = make(map[string]cipher.AEAD)
		r.first = id
	}
	r.byID[id] = aead
	return nil
}

// readKeys reads a key file: a line "id:key" for each key, base64 of 32 bytes,
// the one that seals first. Empty lines and those that begin with # are left
// out. The error is fs.ErrNotExist if there is no file; none holds any of what
// the file says.
func readKeys(path string) (*keyring, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(keyring)
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, text, _ := strings.Cut(line, ":")
		if !validKeyID(id) {
			return nil, fmt.Errorf("key file %s: line %d must be id:key, the id of letters and digits", path, i+1)
		}
		if _, twice := r.byID[id]; twice {
			return nil, fmt.Errorf("key file %s: line %d repeats the key %s", path, i+1, id)
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != chacha20poly1305.KeySize {
			return nil, fmt.Errorf("key file %s: line %d must have a key of %d bytes in base64", path, i+1, chacha20poly1305.KeySize)
		}
		if err := r.add(id, key); err != nil {
			return nil, fmt.Errorf("key file %s: line %d: %w", path, i+1, err)
		}
	}
	if r.byID == nil {
		return nil, fmt.Errorf("key file %s: there is no key in it", path)
	}
	return r, nil
}

func validKeyID(id string) bool {
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return 0 < len(id) && len(id) <= 64
}

// createKeys makes a key file with one key, for its owner alone, and its
// directory if need be. It is on the disk before this returns: passwords sealed
// with a key that a power cut took along would be lost.
func createKeys(path string) (*keyring, error) {
	key := make([]byte, chacha20poly1305.KeySize)
	rand.Read(key)
	name := make([]byte, 4)
	rand.Read(name)
	id := hex.EncodeToString(name)
	r := new(keyring)
	if err := r.add(id, key); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "%s:%s\n", id, base64.StdEncoding.EncodeToString(key))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(d.Sync(), d.Close())
}
