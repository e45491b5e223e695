package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says what the shipped packages may import of the project, by the
// longest folder that fits. Anything not listed may import nothing.
var mayImport = map[string][]string{
	".":                     {"commands", "libcontainer/seal"},
	"commands":              {"libcontainer/lazyjson", "specconv", "libcontainer", "libcontainer/config", "libcontainer/console", "libcontainer/trace", "hooks", "hooks/network"},
	"specconv":              {"libcontainer/config", "libcontainer/lazyjson", "libcontainer/openat2", "libcontainer/seccomp"},
	"hooks":                 {"libcontainer/config", "libcontainer/entry"},
	"hooks/network":         {"hooks"},
	"libcontainer":          {"libcontainer/*", "hooks"},
	"libcontainer/config":   {},
	"libcontainer/inside":   {"libcontainer/config", "libcontainer/openat2", "libcontainer/ready", "libcontainer/trace"},
	"libcontainer/trace":    {},
	"libcontainer/lazyjson": {},
	"libcontainer/nofile":   {},                      // runs before main and knows of nothing
	"libcontainer/entry":    {"libcontainer/nofile"}, // runs before the Go runtime
	"libcontainer/process":  {"libcontainer/config", "libcontainer/entry", "libcontainer/inside"},
	"libcontainer/seal":     {"libcontainer/entry"},
	"libcontainer/seccomp":  {"libcontainer/config"},
	"libcontainer/state":    {"libcontainer/config", "libcontainer/lazyjson"},
	"libcontainer/cgroups":  {"libcontainer/config", "libcontainer/devcg", "libcontainer/ready"},
	"libcontainer/devcg":    {},
	"libcontainer/console":  {"libcontainer/config", "libcontainer/inside", "libcontainer/ready"},
	"libcontainer/notify":   {"libcontainer/ready"},
	"libcontainer/openat2":  {},
	"libcontainer/ready":    {},
	"libcontainer/rootfs":   {"libcontainer/config", "libcontainer/inside", "libcontainer/openat2", "libcontainer/trace"},
	"libcontainer/*":        {"libcontainer/config", "libcontainer/inside"},
	"tests/*":               {"tests/*", "specconv"}, // black box: they need mocker's binary, and specs to change
}

func allowed(dir string) []string {
	if list, ok := mayImport[dir]; ok {
		return list
	}
	for room, list := range mayImport {
		if parent, ok := strings.CutSuffix(room, "/*"); ok && within(dir, parent) {
			return list
		}
	}
	return nil
}

func TestImportsGoOneWay(t *testing.T) {
	for _, f := range source(t) {
		if f.isTest && within(f.dir, "tests") || within(f.dir, "tools") {
			continue
		}
		for _, path := range f.imports() {
			target, ok := strings.CutPrefix(path, module+"/")
			if !ok {
				continue
			}
			fits := slices.ContainsFunc(allowed(f.dir), func(room string) bool {
				parent, all := strings.CutSuffix(room, "/*")
				return target == room || all && within(target, parent)
			})
			if !fits && !f.isTest {
				t.Errorf("%s imports %s, which %s may not", f.path, target, f.dir)
			}
		}
	}
}

// raw are the rooms that make system calls of their own, with why.
var raw = map[string]string{
	"libcontainer/devcg":  "bpf(2) has no other way in",
	"libcontainer/entry":  "runs before the Go runtime, and puts back what it has done there",
	"libcontainer/inside": "the child lives on them",
	"libcontainer/seal":   "re-executes mocker from a mount of its own",
	"libcontainer/nofile": "keeps the limit before the Go runtime raises it",
}

func TestRawSystemCalls(t *testing.T) {
	for _, f := range source(t) {
		if slices.Contains(f.imports(), "C") {
			t.Errorf("%s imports C", f.path)
		}
		if raw[f.dir] != "" || f.isTest {
			continue
		}
		if slices.Contains(f.imports(), "unsafe") {
			t.Errorf("%s imports unsafe", f.path)
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			pkg, name := selector(node)
			if (pkg == "syscall" || pkg == "unix") && (strings.HasPrefix(name, "Syscall") || strings.HasPrefix(name, "RawSyscall")) {
				t.Errorf("%s: raw system call %s.%s", f.at(node), pkg, name)
			}
			return true
		})
		for _, group := range f.syntax.Comments {
			for _, comment := range group.List {
				if strings.HasPrefix(comment.Text, "//go:linkname") {
					t.Errorf("%s: go:linkname", f.at(comment))
				}
			}
		}
	}
}

// selector returns x and y of an expression x.y.
func selector(node ast.Node) (pkg, name string) {
	sel, ok := node.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	ident, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return ident.Name, sel.Sel.Name
}

// TestCommandsKnowNoKernel: signals are the only thing of the kernel's that a
// command line speaks of.
func TestCommandsKnowNoKernel(t *testing.T) {
	seen := false
	for _, f := range source(t) {
		if f.dir != "commands" || f.isTest {
			continue
		}
		seen = true
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			if _, ok := node.(*ast.ImportSpec); ok {
				return false
			}
			pkg, name := selector(node)
			if pkg == "syscall" && !strings.HasPrefix(name, "SIG") && name != "Signal" || pkg == "unix" && !strings.HasPrefix(name, "Signal") {
				t.Errorf("%s: %s.%s", f.at(node), pkg, name)
			}
			if lit, ok := node.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil || strings.Contains(text, "/proc") || strings.Contains(text, "/sys") {
					t.Errorf("%s: %s", f.at(node), lit.Value)
				}
			}
			return true
		})
	}
	if !seen {
		t.Error("found no package commands")
	}
}

func TestPackagesHaveDocComments(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range source(t) {
		if f.isTest {
			continue
		}
		doc := f.syntax.Doc.Text()
		prefix := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			prefix = "Command "
		}
		documented[f.dir] = documented[f.dir] || strings.HasPrefix(doc, prefix)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}
