package csvfile

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	type record struct {
		Line   int
		Fields []string
		Fault  string
	}
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name string
		text string
		want []record
	}{
		{"nothing", "", nil},
		{"plain lines", "a,b,c\nd,e,f\n", []record{{Line: 1, Fields: []string{"a", "b", "c"}}, {Line: 2, Fields: []string{"d", "e", "f"}}}},
		{"the last line has no end", "a,b\nc,d", []record{{Line: 1, Fields: []string{"a", "b"}}, {Line: 2, Fields: []string{"c", "d"}}}},
		{"lines of another system", "a,b\r\nc,d\r\n", []record{{Line: 1, Fields: []string{"a", "b"}}, {Line: 2, Fields: []string{"c", "d"}}}},
		{"empty lines are counted", "\n \na,b\n", []record{{Line: 3, Fields: []string{"a", "b"}}}},
		{"a byte order mark", "\uFEFFa,b\n", []record{{Line: 1, Fields: []string{"a", "b"}}}},
		{"a byte order mark later on", "a\n\uFEFFb\n", []record{{Line: 1, Fields: []string{"a"}}, {Line: 2, Fields: []string{"\uFEFFb"}}}},
		{"a heading", "\n Email ,b\nemail,d\n", []record{{Line: 3, Fields: []string{"email", "d"}}}},
		{"a heading behind a byte order mark", "\uFEFFEMAIL,b\nc,d\n", []record{{Line: 2, Fields: []string{"c", "d"}}}},
		{"a heading behind a spoilt line", "a,\"b\nemail,d\n", []record{
			{Line: 1, Fault: "a quoted field has no end"}, {Line: 2, Fields: []string{"email", "d"}},
		}},
		{"empty fields", ",,\n", []record{{Line: 1, Fields: []string{"", "", ""}}}},
		{"blanks belong to a field", "a , b\n", []record{{Line: 1, Fields: []string{"a ", " b"}}}},
		{"quoted fields", `"a,b","say ""hi""",""` + "\n", []record{{Line: 1, Fields: []string{"a,b", `say "hi"`, ""}}}},
		{"a quote that does not end spoils one line", "a,\"b\nc,d\n", []record{
			{Line: 1, Fault: "a quoted field has no end"}, {Line: 2, Fields: []string{"c", "d"}},
		}},
		{"a quote inside a field", "a,b\"c\nd\n", []record{
			{Line: 1, Fault: "a quote stands inside a field (put the whole field in quotes and double each quote in it)"}, {Line: 2, Fields: []string{"d"}},
		}},
		{"text behind a quoted field", "\"a\"b,c\n", []record{{Line: 1, Fault: "a quoted field is followed by something other than a comma"}}},
		{"not UTF-8", "a,\xff\nb\n", []record{{Line: 1, Fault: "the line is not UTF-8 text"}, {Line: 2, Fields: []string{"b"}}}},
		{"a line too long", "a\n" + long + "\nb\n", []record{
			{Line: 1, Fields: []string{"a"}},
			{Line: 2, Fault: "the line is longer than 65536 bytes"},
			{Line: 3, Fields: []string{"b"}},
		}},
		{"a line too long at the end", "a\n" + long + long, []record{
			{Line: 1, Fields: []string{"a"}},
			{Line: 2, Fault: "the line is longer than 65536 bytes"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []record
			r := New(strings.NewReader(tt.text), "email")
			for {
				fields, line, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				one := record{Line: line, Fields: fields}
				var spoilt RowError
				if errors.As(err, &spoilt) {
					one.Fault = spoilt.Error()
				} else if err != nil {
					t.Fatal(err)
				}
				got = append(got, one)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzSplitFields holds splitFields against the standard library: what that
// accepts as one line means the same here, and what it refuses is refused.
func FuzzSplitFields(f *testing.F) {
	for _, seed := range []string{"a,b,c", `"a,b","c""d"`, `"`, `a"b`, `""`, `"a"b`, ",,", `" "`, "é,ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") || line == "" {
			return // No line of a file.
		}
		got, err := splitFields(line)
		want, wantErr := csv.NewReader(strings.NewReader(line)).Read()
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("split %q: error %v, want %v", line, err, wantErr)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("split %q (-want +got):\n%s", line, diff)
		}
	})
}
