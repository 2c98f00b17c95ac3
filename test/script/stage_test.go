package script

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStage(t *testing.T) {
	s, err := Parse("case.txt", `The stage is set before the first line.

dialects: MSNP7
account ann@example.com Ann%20Lee
   PHH 1%202
   GTC N
   BLP BL
   group Friends
   FL bob Robert 0,1
   AL bob
   version 10
account bob@example.com
   BL ann
   crowd 2

login ann
`)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t, 1, nil)
	if err := s.Play(t.Context(), f, "MSNP7", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	mark, _ := strings.CutPrefix(f.mark(), "ann")
	want := strings.Split(strings.ReplaceAll(`account ann#@example.com Ann Lee
account bob#@example.com 
ann#@example.com PHH 1%202
ann#@example.com privacy false false
ann#@example.com privacy false false
ann#@example.com group Friends
ann#@example.com LIST_FORWARD bob#@example.com Robert true 0
ann#@example.com LIST_FORWARD bob#@example.com Robert true 1
ann#@example.com LIST_ALLOW bob#@example.com bob#@example.com false 0
bob#@example.com LIST_BLOCK ann#@example.com Ann%20Lee false 0
account crowd0000-bob#@example.com 
account crowd0001-bob#@example.com 
contact bob#@example.com crowd0000-bob#@example.com
contact bob#@example.com crowd0001-bob#@example.com
ann#@example.com rename Ann%20Lee
ann#@example.com rename Ann%20Lee`, "#", mark), "\n")
	if got := f.directory.edits; !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStageFails(t *testing.T) {
	const about = "A case.\n\ndialects: all\n"
	for _, test := range []struct{ name, text, want string }{
		{"an account is refused", "account ann@example.com\n   password refused\n\nsettle\n", "password refused"},
		{"the version is past", "account ann@example.com\n   GTC N\n   BLP BL\n   version 2\n\nsettle\n", "is 3 already, not 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Parse("case.txt", about+test.text)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Play(t.Context(), newFake(t, 1, nil), "MSNP7", time.Second)
			if err == nil || !strings.Contains(err.Error(), "case.txt: set the stage: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
