package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// crashURL is the variable that makes this test binary the process that gets
// killed, and says on which database it works.
const crashURL = "MONARCH_STORE_CRASH_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(crashURL); url != "" {
		if err := editForever(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// editForever has several people edit their lists, and says on standard output
// what was acknowledged, a line each: the user, the version and whether bob is
// on the list now.
func editForever(url string) error {
	ctx := context.Background()
	s, err := Open(ctx, url)
	if err != nil {
		return err
	}
	lines := make(chan string)
	for i := range 4 {
		go func() {
			email := address(fmt.Sprintf("user%d", i))
			for on := true; ; on = !on {
				e := &directoryv1.Edit{Email: email}
				var answer *directoryv1.EditResponse
				var err error
				if on {
					answer, err = s.AddMember(ctx, limits, &directoryv1.AddMemberRequest{Edit: e, List: fl, Member: address("bob")})
				} else {
					answer, err = s.RemoveMember(ctx, &directoryv1.RemoveMemberRequest{Edit: e, List: fl, Member: address("bob")})
				}
				if err != nil {
					lines <- fmt.Sprintf("fault: %v", err)
					return
				}
				lines <- fmt.Sprintf("%s %d %t %d", email, answer.GetVersion(), on, answer.GetTouched()[0].GetVersion())
			}
		}()
	}
	for line := range lines {
		fmt.Println(line)
	}
	return nil
}

// A process that is killed amid edits has lost nothing of what it acknowledged,
// and left no edit half done.
func TestKilledAmidEdits(t *testing.T) {
	url := sqliteURL(t)
	keys := filepath.Join(t.TempDir(), "keys")
	s := migrated(t, url)
	if err := s.Unlock(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	names := []string{"bob", "user0", "user1", "user2", "user3"}
	signUp(t, s, names...)

	for kill := range 3 {
		acknowledged, bobs := crash(t, url, 200*(kill+1))
		again := migrated(t, url)
		if err := again.Unlock(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		for email, want := range acknowledged {
			name := strings.TrimSuffix(email, "@example.com")
			got := snapshotOf(t, again, name)
			on := len(got.GetMembers()) > 0
			// Each edit undoes the one before. Two may be done and not heard of:
			// one whose acknowledgement is being printed, and the next.
			more := int64(got.GetVersion()) - int64(want.version)
			if more < 0 || more > 2 {
				t.Errorf("%s: version %d was acknowledged, %d is there", name, want.version, got.GetVersion())
			} else if even := more%2 == 0; even != (on == want.on) {
				t.Errorf("%s at version %d: bob on FL is %t, was acknowledged as %t at %d", name, got.GetVersion(), on, want.on, want.version)
			}
		}
		bob := snapshotOf(t, again, "bob")
		if bob.GetVersion() < bobs {
			t.Errorf("bob: version %d was acknowledged, %d is there", bobs, bob.GetVersion())
		}
		checkReverse(t, again, names)
		// The next round begins with nobody on FL.
		for _, m := range bob.GetMembers() {
			if msnp.List(m.GetLists()).Has(msnp.RL) {
				owner := person{t, again, strings.TrimSuffix(m.GetEmail(), "@example.com")}
				if _, err := owner.remove(fl, "bob"); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

type acknowledgement struct {
	version uint32
	on      bool
}

// crash runs a process until it has acknowledged that many edits, and kills it.
// It returns the last acknowledgement of each user, and bob's highest version.
func crash(t *testing.T, url string, edits int) (map[string]acknowledgement, uint32) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashURL+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := make(map[string]acknowledgement)
	var bobs uint32
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var email string
		var a acknowledgement
		var bob uint32
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %t %d", &email, &a.version, &a.on, &bob); err != nil {
			t.Errorf("the process says %q", lines.Text())
			break
		}
		last[email] = a
		bobs = max(bobs, bob)
		if n == edits {
			// What it says between this and its end counts too.
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Errorf("the process ended by itself: %v", err)
	}
	return last, bobs
}

// An edit whose context ends is either not there or there as a whole.
func TestAnEditThatIsGivenUpIsWhole(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob")
		for n := range 60 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for range n * 50 {
				}
				cancel()
			}()
			before := version(t, s, "bob")
			r := &directoryv1.AddMemberRequest{Edit: &directoryv1.Edit{Email: address("alice")}, List: fl, Member: address("bob")}
			_, err := s.AddMember(ctx, limits, r)
			cancel()
			on := len(snapshotOf(t, s, "bob").GetMembers()) == 1
			if err == nil && !on {
				t.Fatal("an acknowledged edit is not there")
			}
			if raised := version(t, s, "bob") > before; raised != on {
				t.Fatalf("on the list is %t, raised is %t", on, raised)
			}
			if on {
				if _, err := (person{t, s, "alice"}).remove(fl, "bob"); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
