package script

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTranscriptsParse reads every file below testdata, those of variants too.
func TestTranscriptsParse(t *testing.T) {
	folders := 0
	err := fs.WalkDir(testdata, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || path == "." {
			return err
		}
		files, err := fs.Sub(testdata, path)
		if err != nil {
			return err
		}
		scripts, err := Load(files)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if len(scripts) == 0 {
			t.Errorf("%s: no transcripts", path)
		}
		folders++
		return nil
	})
	if err != nil || folders == 0 {
		t.Errorf("%d folders, error %v", folders, err)
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("case.txt", `One sentence
on two lines.
-- A remark.

dialects: MSNP2-3 MSNP7
account ann@example.com Ann%20Lee
   password tulip
   PHH 1%202
   GTC N
   group Friends
   group Work
   FL bob Robert 0,2
   AL bob
   crowd 3
   version 40
account bob@example.com
friends ann bob

connect ann dispatch
[MSNP7] ann> VER 1 MSNP7
[MSNP3]    |text
   =more
ann<~ one
ann<~ two
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := "One sentence on two lines."; s.About != want {
		t.Errorf("about %q, want %q", s.About, want)
	}
	if want := []string{"MSNP2", "MSNP3", "MSNP7"}; !slices.Equal(s.Dialects(), want) {
		t.Errorf("dialects %v, want %v", s.Dialects(), want)
	}
	ann, bob := s.find("ann"), s.find("bob")
	if ann.password != "tulip" || bob.password != "secret-bob" || ann.name != "Ann%20Lee" || bob.name != "bob@example.com" {
		t.Errorf("accounts %+v, %+v", ann, bob)
	}
	if ann.crowd != 3 || ann.version != 40 || len(ann.groups) != 2 || len(ann.settings) != 2 || len(ann.members) != 4 || len(bob.members) != 2 {
		t.Errorf("ann is %+v, bob %+v", ann, bob)
	}
	if m := ann.members[0]; m.list != "FL" || m.short != "bob" || m.name != "Robert" || !slices.Equal(m.groups, []uint32{0, 2}) {
		t.Errorf("first member %+v", m)
	}
	if steps := s.stepsFor("MSNP7"); len(steps) != 3 || steps[1].line != 20 || len(steps[2].act.(*expect).lines) != 2 {
		t.Errorf("steps for MSNP7: %+v", steps)
	}
	if steps := s.stepsFor("MSNP2"); len(steps) != 2 {
		t.Errorf("steps for MSNP2: %+v", steps)
	}
}

func TestParseRefuses(t *testing.T) {
	const about = "A case.\n\n"
	const ann = about + "dialects: all\naccount ann@example.com Ann\n"
	for _, test := range []struct{ name, text, want string }{
		{"no sentence", "dialects: all\n\nsettle\n", "does not begin with a sentence"},
		{"no dialects", about + "account ann@example.com\nsettle\n", "names no dialects"},
		{"an unknown dialect", about + "dialects: MSNP8\nsettle\n", "no such dialects"},
		{"dialects in the wrong order", about + "dialects: MSNP5-3\nsettle\n", "no such dialects"},
		{"no dialect after the word", about + "dialects:\nsettle\n", "no dialect named"},
		{"no conversation", ann, "has no conversation"},
		{"an account twice", ann + "account ann@example.org\nsettle\n", "second account of that name"},
		{"an account without an address", about + "dialects: all\naccount ann\n", "want account EMAIL"},
		{"something unknown of an account", ann + "   colour red\nsettle\n", "not known of an account"},
		{"nothing said of a phone", ann + "   PHH\nsettle\n", "wants a value"},
		{"a description of nobody", about + "dialects: all\n   PHH 1\nsettle\n", "describes no account"},
		{"a group that is no number", ann + "   FL ann Ann x\nsettle\n", "invalid syntax"},
		{"a version that is no number", ann + "   version x\nsettle\n", "invalid syntax"},
		{"a contact without an account", ann + "   FL bob\nsettle\n", "bob on a list, who has no account"},
		{"a friend without an account", ann + "friends ann bob\nsettle\n", "no account bob"},
		{"an unknown directive", ann + "dance ann\n", "not a line of a transcript"},
		{"a directive of nobody", ann + "drop\n", "not a line of a transcript"},
		{"something that is no line", ann + "Ann says hello\n", "not a line of a transcript"},
		{"an unknown directive of a connection", ann + "login ann\ndance ann\n", "not a line of a transcript"},
		{"a line without a connection", ann + "ann> PNG\n", "ann has no connection"},
		{"a line after the drop", ann + "login ann\ndrop ann\nann> PNG\n", "ann has no connection"},
		{"a line after the close", ann + "login ann\nann< closed\nann< PNG\n", "ann has no connection"},
		{"a second connection of one name", ann + "login ann\nlogin ann\n", "connected already"},
		{"connecting twice", ann + "login ann\nconnect ann dispatch\n", "connected already"},
		{"logging in without an account", ann + "login bob\n", "no account bob"},
		{"an unknown state", ann + "online ann AWOL\n", "neither name nor dialect nor state"},
		{"an unknown server", ann + "connect ann gateway\n", "no such server"},
		{"no server", ann + "connect ann\n", "want connect NAME"},
		{"node zero", ann + "connect ann notification 0\n", "numbered from 1"},
		{"an address without a value", ann + "connect a $there\n", "$there has no value yet"},
		{"a chat of a stranger", ann + "chat a bob\n", "no account bob"},
		{"a chat of somebody offline", ann + "chat a ann\n", "ann has no connection"},
		{"a chat on a connection that is there", ann + "login ann\nchat ann ann\n", "connected already"},
		{"a chat of nobody", ann + "login ann\nchat a\n", "want chat NAME ACCOUNT"},
		{"a call from nowhere", ann + "login ann\ncall a ann b\n", "a has no connection"},
		{"a call of a stranger", ann + "login ann\nchat a ann\ncall a bob b\n", "no account bob"},
		{"a call of nobody", ann + "login ann\nchat a ann\ncall a ann\n", "want call NAME ACCOUNT NAME"},
		{"surplus words", ann + "login ann\ndrop ann now\n", "surplus words"},
		{"a name without a value", ann + "login ann\nann> GTC $v A\n", "$v has no value yet"},
		{"a name without a value in a call", ann + "login ann\nann> USR $md5($salt,x)\n", "$salt has no value yet"},
		{"payload of nothing", ann + "settle\n   |text\n", "payload without a line"},
		{"payload of raw bytes", ann + "login ann\nann>! PNG\n   |text\n", "payload without a line"},
		{"payload of unknown dialects", ann + "login ann\nann> PNG\n[MSNP9]   |text\n", "no such dialects"},
		{"a line of unknown dialects", ann + "login ann\n[MSNP9] ann> PNG\n", "no such dialects"},
		{"a blank at the end", ann + "login ann\nann> INF 2 \n", "blanks at the ends"},
		{"an unknown escape", ann + "login ann\nann>! \\q\n", "no such escape"},
		{"half an escape", ann + "login ann\nann>! \\x1\n", "needs two digits"},
		{"an escape that is no number", ann + "login ann\nann>! \\xzz\n", "needs two digits"},
		{"a lone backslash", ann + "login ann\nann>! a\\\n", "lone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("case.txt", test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "case.txt:") {
				t.Errorf("error %v, want %q of case.txt", err, test.want)
			}
		})
	}
}

func TestLoadJoinsFaults(t *testing.T) {
	files := fstest.MapFS{
		"a.txt":      {Data: []byte("A.\n\ndialects: all\ndance\n")},
		"b.txt":      {Data: []byte("B.\n\ndialects: none\nsettle\n")},
		"c.md":       {Data: []byte("not a transcript")},
		"more/d.txt": {Data: []byte("not at the top")},
	}
	_, err := Load(files)
	if err == nil || !strings.Contains(err.Error(), "a.txt:4") || !strings.Contains(err.Error(), "b.txt:3") {
		t.Errorf("error %v, want faults of a.txt and b.txt", err)
	}
}
