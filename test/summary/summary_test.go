package main

import (
	"errors"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		err    error
		good   bool
		want   string
	}{
		"all is well": {
			events: `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"noise\n"}
{"Action":"run","Package":"a","Test":"TestX/sub"}
{"Action":"pass","Package":"a","Test":"TestX/sub"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a","Elapsed":0.14}
{"Action":"skip","Package":"no/tests"}
`,
			good: true,
			want: "ok    a  0.1s  2 passed\n2 passed, 0 failed, 0 skipped\n",
		},
		"a test fails": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:1: want 1, got 2\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"run","Package":"a","Test":"TestY"}
{"Action":"pass","Package":"a","Test":"TestY"}
{"Action":"fail","Package":"a","Elapsed":2}
`,
			err:  errors.New("exit status 1"),
			want: "FAIL  a  2.0s\n          x_test.go:1: want 1, got 2\n1 passed, 1 failed, 0 skipped\n",
		},
		"a test that passes has promised and measured": {
			events: `{"Action":"run","Package":"a","Test":"TestX/sub"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"=== RUN   TestX/sub\n"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"    x_test.go:7: promise: nobody waits for a figure: ever\n"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"    x_test.go:8: noise\n"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"        x_test.go:9: figure: 0 messages lost\n"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"figure: of a process\n"}
{"Action":"output","Package":"a","Test":"TestX/sub","Output":"--- PASS: TestX/sub (1.25s)\n"}
{"Action":"pass","Package":"a","Test":"TestX/sub","Elapsed":1.25}
{"Action":"pass","Package":"a","Elapsed":2}
`,
			good: true,
			want: "      TestX/sub  1.2s\n          promise: nobody waits for a figure: ever\n          figure: 0 messages lost\n" +
				"ok    a  2.0s  1 passed\n1 passed, 0 failed, 0 skipped\n",
		},
		"a test that fails has promised": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:7: promise: more than it keeps\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:8: lost\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"fail","Package":"a","Elapsed":2}
`,
			err:  errors.New("exit status 1"),
			want: "FAIL  a  2.0s\n          x_test.go:7: promise: more than it keeps\n          x_test.go:8: lost\n0 passed, 1 failed, 0 skipped\n",
		},
		"a test is skipped": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:1: MONARCH_TEST_REDIS is not set\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
{"Action":"run","Package":"a","Test":"TestY"}
{"Action":"pass","Package":"a","Test":"TestY"}
{"Action":"pass","Package":"a","Elapsed":0}
`,
			want: "ok    a  0.0s  1 passed\nSKIP  a TestX: x_test.go:1: MONARCH_TEST_REDIS is not set\n1 passed, 0 failed, 1 skipped\n",
		},
		"a package does not build": {
			events: `{"ImportPath":"a [a.test]","Action":"build-output","Output":"./a_test.go:3:1: syntax error\n"}
{"ImportPath":"a [a.test]","Action":"build-fail"}
{"Action":"start","Package":"a"}
{"Action":"fail","Package":"a","Elapsed":0,"FailedBuild":"a [a.test]"}
`,
			err:  errors.New("exit status 1"),
			want: "FAIL  a  0.0s\n      ./a_test.go:3:1: syntax error\n0 passed, 1 failed, 0 skipped\n",
		},
		"a test ends the process": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"fatal error: all goroutines are asleep\n"}
{"Action":"fail","Package":"a","Elapsed":1}
`,
			err:  errors.New("exit status 1"),
			want: "FAIL  a  1.0s\n      did not end: TestX\n      fatal error: all goroutines are asleep\n0 passed, 1 failed, 0 skipped\n",
		},
		"TestMain fails": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"goleak: found unexpected goroutines\n"}
{"Action":"fail","Package":"a","Elapsed":1}
`,
			err:  errors.New("exit status 1"),
			want: "FAIL  a  1.0s\n      goleak: found unexpected goroutines\n1 passed, 1 failed, 0 skipped\n",
		},
		"go test is cut off": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"waiting\n"}
`,
			err:  errors.New("signal: killed"),
			want: "FAIL  a  0.0s\n      did not end: TestX\n      waiting\n0 passed, 1 failed, 0 skipped\n",
		},
		"go test cannot begin": {
			err:  errors.New("exit status 1"),
			want: "FAIL  go test: exit status 1\n0 passed, 1 failed, 0 skipped\n",
		},
		"nothing is there to test": {
			events: `{"Action":"skip","Package":"no/tests"}
`,
			want: "FAIL  nothing was tested\n0 passed, 1 failed, 0 skipped\n",
		},
		"something writes past go test": {
			events: `{"Action":"run","Package":"a","Test":"TestX"}
go: downloading example.org/m v1.0.0
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"pass","Package":"a","Elapsed":0}
`,
			good: true,
			want: "go: downloading example.org/m v1.0.0\nok    a  0.0s  1 passed\n1 passed, 0 failed, 0 skipped\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			s := newSummary(&b)
			if err := s.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			s.finish(c.err)
			if got := b.String(); got != c.want {
				t.Errorf("\nwant:\n%s\ngot:\n%s", c.want, got)
			}
			if got := s.good(); got != c.good {
				t.Errorf("good: want %v, got %v", c.good, got)
			}
		})
	}
}
