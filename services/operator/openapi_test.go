package operator

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryRouteIsDescribed holds the routes and openapi.yaml together, and
// what is open in one is open in the other.
func TestEveryRouteIsDescribed(t *testing.T) {
	var want, wantOpen []string
	for _, rt := range new(Service).routes() {
		want = append(want, rt.pattern)
		if rt.open {
			wantOpen = append(wantOpen, rt.pattern)
		}
	}
	described, open := describedRoutes(t)
	slices.Sort(want)
	slices.Sort(wantOpen)
	slices.Sort(described)
	slices.Sort(open)
	if diff := cmp.Diff(want, described); diff != "" {
		t.Errorf("routes (-served +described):\n%s", diff)
	}
	if diff := cmp.Diff(wantOpen, open); diff != "" {
		t.Errorf("routes without a token (-served +described):\n%s", diff)
	}
}

var (
	pathLine   = regexp.MustCompile(`^  (/\S*):$`)
	methodLine = regexp.MustCompile(`^    (get|put|post|delete|patch|head|options):$`)
)

// describedRoutes reads the paths of openapi.yaml, which is written by hand in
// the one layout that this understands: paths two blanks in, methods four.
func describedRoutes(t *testing.T) (routes, open []string) {
	t.Helper()
	inPaths, path := false, ""
	for lines := bufio.NewScanner(bytes.NewReader(openAPI)); lines.Scan(); {
		line := lines.Text()
		if line != "" && line[0] != ' ' {
			inPaths = line == "paths:"
		}
		if !inPaths {
			continue
		}
		if m := pathLine.FindStringSubmatch(line); m != nil {
			path = m[1]
		} else if m := methodLine.FindStringSubmatch(line); m != nil {
			routes = append(routes, strings.ToUpper(m[1])+" "+path)
		} else if line == "      security: []" {
			open = append(open, routes[len(routes)-1])
		}
	}
	return routes, open
}

// TestEveryReferenceResolves finds a $ref to nothing.
func TestEveryReferenceResolves(t *testing.T) {
	section, name := "", ""
	defined := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(openAPI)); lines.Scan(); {
		line := lines.Text()
		if m := regexp.MustCompile(`^  (\w+):`).FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := regexp.MustCompile(`^    (\w+):`).FindStringSubmatch(line); m != nil {
			name = m[1]
			defined["#/components/"+section+"/"+name] = true
		}
	}
	refs := regexp.MustCompile(`\$ref: "([^"]*)"`).FindAllSubmatch(openAPI, -1)
	if len(refs) == 0 {
		t.Fatal("no references found")
	}
	for _, ref := range refs {
		if !defined[string(ref[1])] {
			t.Errorf("%s is not defined", ref[1])
		}
	}
}
