package house

import (
	"go/ast"
	"testing"
)

const (
	mostLines     = 500 // of a file
	mostTestLines = 700 // of a file of tests: tables are long
	mostFuncLines = 90
	mostParams    = 5
)

// big are the files and functions that may be bigger, with why. Aim at 400
// lines, 60 lines and four parameters; this is where the limit is.
var big = map[string]string{}

func TestSizes(t *testing.T) {
	used := map[string]bool{}
	tooBig := func(name string) bool {
		used[name] = true
		return big[name] == ""
	}
	for _, f := range source(t) {
		most := mostLines
		if f.isTest {
			most = mostTestLines
		}
		if f.lines > most && tooBig(f.path) {
			t.Errorf("%s has %d lines, more than %d", f.path, f.lines, most)
		}
		if f.isTest {
			continue // nor is there a limit to the length of a story
		}
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := f.dir + "." + fn.Name.Name
			lines := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
			if lines > mostFuncLines && tooBig(name) {
				t.Errorf("%s: %s has %d lines, more than %d", f.at(fn), name, lines, mostFuncLines)
			}
			if n := fn.Type.Params.NumFields(); n > mostParams && tooBig(name) {
				t.Errorf("%s: %s has %d parameters, more than %d", f.at(fn), name, n, mostParams)
			}
		}
	}
	for name := range big {
		if !used[name] {
			t.Errorf("%s is not too big any more: take it off the list", name)
		}
	}
}
