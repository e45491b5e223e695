package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// mutable are the package variables that may change, and the packages that may
// do something when they are loaded, with why.
var mutable = map[string]string{
	"main.version":    "set by the linker",
	"main.commit":     "set by the linker",
	"entry.memory":    "before the runtime there is no other",
	"inside.births":   "the memory that it guards is that of the process",
	"nofile.init":     "has to come before package syscall raises the limit",
	"nofile.original": "written before main alone",
	"nofile.withheld": "written before the runtime alone",
	"seal.sealed":     "what Ensure found out, before anything else runs",
	"trace.passed":    "in a build for tests alone, which there is no recorder to count for",
}

// variables are the package variables of the shipped packages, by folder.
func variables(files []*file) map[string]map[string]*ast.ValueSpec {
	found := map[string]map[string]*ast.ValueSpec{}
	for _, f := range files {
		for _, decl := range f.syntax.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				for _, name := range value.Names {
					if found[f.dir] == nil {
						found[f.dir] = map[string]*ast.ValueSpec{}
					}
					found[f.dir][name.Name] = value
				}
			}
		}
	}
	return found
}

func shipped(t *testing.T) []*file {
	var files []*file
	for _, f := range source(t) {
		if !f.isTest && !within(f.dir, "tests") && !within(f.dir, "tools") {
			files = append(files, f)
		}
	}
	return files
}

// TestPackageVariablesDoNotChange: a package variable is a constant that Go
// cannot express. This finds assignments by name, not every alias.
func TestPackageVariablesDoNotChange(t *testing.T) {
	files := shipped(t)
	vars := variables(files)
	for _, f := range files {
		complain := func(expr ast.Expr, what string) {
			ident := root(expr)
			if ident == nil {
				return
			}
			spec := vars[f.dir][ident.Name]
			if spec == nil || ident.Obj != nil && ident.Obj.Decl != spec {
				return // no package variable, or a local one of that name
			}
			if mutable[f.syntax.Name.Name+"."+ident.Name] == "" {
				t.Errorf("%s: package variable %s %s", f.at(expr), ident.Name, what)
			}
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.AssignStmt:
				for _, left := range node.Lhs {
					if node.Tok != token.DEFINE {
						complain(left, "is assigned to")
					}
				}
			case *ast.IncDecStmt:
				complain(node.X, "is counted with")
			case *ast.UnaryExpr:
				// &table[i] is how rows of a table are passed round.
				if _, isVar := node.X.(*ast.Ident); isVar && node.Op == token.AND {
					complain(node.X, "has its address taken")
				}
			}
			return true
		})
	}
}

// root finds x in x, x.y, x[i], *x and (x).
func root(expr ast.Expr) *ast.Ident {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		default:
			return nil
		}
	}
}

// TestPackageVariablesHoldNoLocks: a mutex, an atomic or a pool in a package
// variable is state in disguise.
func TestPackageVariablesHoldNoLocks(t *testing.T) {
	for _, f := range shipped(t) {
		for _, decl := range f.syntax.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			ast.Inspect(gen, func(node ast.Node) bool {
				if spec, ok := node.(*ast.ValueSpec); ok && mutable[f.syntax.Name.Name+"."+spec.Names[0].Name] != "" {
					return false
				}
				if _, isFunc := node.(*ast.FuncLit); isFunc {
					return false
				}
				pkg, name := selector(node)
				if (pkg == "sync" || pkg == "atomic") && name != "OnceValue" && name != "OnceValues" {
					t.Errorf("%s: package variable with %s.%s", f.at(node), pkg, name)
				}
				if pkg == "regexp" || pkg == "os" && strings.HasPrefix(name, "Open") {
					t.Errorf("%s: %s.%s runs at every start", f.at(node), pkg, name)
				}
				return true
			})
		}
	}
}

// TestNoInit: what runs before main is paid for at every start.
func TestNoInit(t *testing.T) {
	for _, f := range shipped(t) {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Recv == nil && fn.Name.Name == "init" && mutable[f.syntax.Name.Name+".init"] == "" {
				t.Errorf("%s: func init", f.at(fn))
			}
		}
	}
}
