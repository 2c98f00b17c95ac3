package fences

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestEverythingExportedIsDocumented holds that a reader of "go doc" finds at
// least a sentence on whatever a package offers. A group of constants or
// variables may have one comment for all.
func TestEverythingExportedIsDocumented(t *testing.T) {
	for _, p := range listed(t) {
		for _, name := range p.GoFiles {
			if strings.HasSuffix(name, ".pb.go") {
				continue
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range undocumented(file) {
				pos := files.Position(id.Pos())
				t.Errorf("%s:%d: %s has no comment", p.name()+"/"+name, pos.Line, id.Name)
			}
		}
	}
}

// undocumented returns the exported names of a file that have no comment.
func undocumented(file *ast.File) []*ast.Ident {
	var found []*ast.Ident
	check := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		if !id.IsExported() {
			return
		}
		for _, doc := range docs {
			if doc.Text() != "" {
				return
			}
		}
		found = append(found, id)
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			switch {
			case d.Recv == nil:
				check(d.Name, d.Doc)
			case d.Name.Name == "Error" || d.Name.Name == "Unwrap":
				// What these do is known.
			case ast.IsExported(receiver(d.Recv.List[0].Type)):
				check(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					// A group has one comment for what its types share; each
					// still needs its own.
					if d.Lparen.IsValid() {
						check(s.Name, s.Doc, s.Comment)
					} else {
						check(s.Name, d.Doc)
					}
				case *ast.ValueSpec:
					for _, id := range s.Names {
						check(id, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return found
}

// receiver returns the name of the type of a method.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestUndocumented(t *testing.T) {
	const source = `package p
// Good has a comment.
type Good struct{}
type Bad struct{}
// Do does.
func (Good) Do() {}
func (*Good) Undone() {}
func (hidden) Exported() {}
func (Good) Error() string { return "" }
type hidden struct{}
// Two constants.
const (A = 1; B = 2)
var (
	C = 1 // C is one.
	D = 2
)
func F() {}
func f() {}
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range undocumented(file) {
		got = append(got, id.Name)
	}
	if want := "Bad Undone D F"; strings.Join(got, " ") != want {
		t.Errorf("want %q, got %q", want, strings.Join(got, " "))
	}
}
