package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob")
		if err := s.SetDisabled(t.Context(), address("bob"), true); err != nil {
			t.Fatal(err)
		}
		const challenge = "1013928519.693957190"
		for _, tc := range []struct {
			name, user, password, reason string
		}{
			{"the right password is accepted", "alice", "alice", ""},
			{"a wrong password is refused", "alice", "bob", "AUTHENTICATION"},
			{"an unknown account is refused as a wrong password is", "nobody", "nobody", "AUTHENTICATION"},
			{"the password of the stand-in for unknown accounts opens none", "nobody", "no such account", "AUTHENTICATION"},
			{"a disabled account is refused as such after the right password", "bob", "bob", "DISABLED"},
			{"a disabled account is not given away by a wrong password", "bob", "alice", "AUTHENTICATION"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				id, err := s.Login(t.Context(), address(tc.user), challenge, answerTo(challenge, tc.password))
				if got := reasonOf(t, err); got != tc.reason {
					t.Errorf("reason: want %q, got %q", tc.reason, got)
				}
				if (id != 0) != (tc.reason == "") {
					t.Errorf("user id %d with reason %q", id, tc.reason)
				}
			})
		}
		t.Run("an answer to another challenge is refused", func(t *testing.T) {
			_, err := s.Login(t.Context(), address("alice"), challenge, answerTo("2013928519.693957190", "alice"))
			if got := reasonOf(t, err); got != "AUTHENTICATION" {
				t.Errorf("want AUTHENTICATION, got %q", got)
			}
		})
		t.Run("the published vector holds", func(t *testing.T) {
			// hypothetic.org: salt and password, and what the client sends.
			if err := s.SetPassword(t.Context(), address("alice"), "mypassword"); err != nil {
				t.Fatal(err)
			}
			response := []byte{0x6f, 0x39, 0x63, 0x00, 0x9f, 0xc8, 0xa9, 0xd2, 0xb2, 0xff, 0x13, 0x7d, 0xa0, 0x90, 0x5c, 0x55}
			if _, err := s.Login(t.Context(), address("alice"), challenge, response); err != nil {
				t.Error(err)
			}
		})
		t.Run("a new password replaces the old one", func(t *testing.T) {
			if err := s.SetPassword(t.Context(), address("alice"), "new"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Login(t.Context(), address("alice"), challenge, answerTo(challenge, "new")); err != nil {
				t.Error(err)
			}
			_, err := s.Login(t.Context(), address("alice"), challenge, answerTo(challenge, "mypassword"))
			if got := reasonOf(t, err); got != "AUTHENTICATION" {
				t.Errorf("want AUTHENTICATION, got %q", got)
			}
		})
	})
}

// An unknown account goes through the same steps as a known one: one query, a
// box that really is opened, and a comparison.
func TestADisabledAccountHasNoSnapshot(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "bob")
		if err := s.SetDisabled(t.Context(), address("bob"), true); err != nil {
			t.Fatal(err)
		}
		_, err := s.Snapshot(t.Context(), address("bob"))
		if want, got := "DISABLED", reasonOf(t, err); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	})
}

func TestUnknownAccountCostsTheSameWork(t *testing.T) {
	s := ready(t, sqliteURL(t))
	signUp(t, s, "somebody.else")
	known, err := s.credential(t.Context(), s.ring.Load(), address("somebody.else"))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := s.credential(t.Context(), s.ring.Load(), address("nobody"))
	if err != nil {
		t.Fatal(err)
	}
	if known.user == 0 || unknown.user != 0 {
		t.Fatalf("want a user and none, got %d and %d", known.user, unknown.user)
	}
	if unknown.secret.key != known.secret.key {
		t.Errorf("another key for the unknown account: %q, not %q", unknown.secret.key, known.secret.key)
	}
	if d := len(unknown.secret.box) - len(known.secret.box); d < -2 || d > 2 {
		t.Errorf("boxes of different lengths: %d and %d", len(unknown.secret.box), len(known.secret.box))
	}
	for name, c := range map[string]credential{"known": known, "unknown": unknown} {
		password, err := s.ring.Load().open(c.secret, passwordOf(c.user))
		if err != nil || len(password) == 0 {
			t.Errorf("the box of the %s account does not open: %v", name, err)
		}
		if right, err := s.ring.Load().check(c, "1.2", answerTo("1.2", string(password))); err != nil || !right {
			t.Errorf("the %s account is not checked: %v, %v", name, right, err)
		}
	}
}

func TestPasswordsAreSealedInTheDatabase(t *testing.T) {
	url := sqliteURL(t)
	s := ready(t, url)
	const password = "correct horse battery staple"
	if _, err := s.CreateAccounts(t.Context(), []NewAccount{{Email: address("alice"), Password: password, Name: "A"}}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(strings.TrimPrefix(url, "sqlite://") + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(password)) {
			t.Errorf("%s holds the password", filepath.Base(file))
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(file), mode)
		}
	}
}

func TestASealedPasswordBelongsToItsUser(t *testing.T) {
	s := ready(t, sqliteURL(t))
	signUp(t, s, "alice", "bob")
	_, err := s.write.ExecContext(t.Context(), `UPDATE users SET secret = (SELECT secret FROM users WHERE email = $1) WHERE email = $2`,
		address("alice"), address("bob"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Login(t.Context(), address("bob"), "1.2", answerTo("1.2", "alice"))
	if err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("want a fault, got %v", err)
	}
}
