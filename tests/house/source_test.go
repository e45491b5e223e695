package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mocker-runtime/mocker"

// file is one Go file of the project.
type file struct {
	path   string // from the top, "commands/run.go"
	dir    string // "commands"; "." for the top
	isTest bool
	lines  int
	syntax *ast.File
	set    *token.FileSet
}

// at says where a node stands: "commands/run.go:12".
func (f *file) at(node ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(node.Pos()).Line)
}

// imports are the paths that the file imports.
func (f *file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// source parses every Go file of the project, whatever its build tags.
func source(t *testing.T) []*file {
	t.Helper()
	top := filepath.Join("..", "..")
	var files []*file
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "testdata" || name == "rootfs" || name == "dist" || strings.HasPrefix(name, ".") && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parse(top, path)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d files: the test does not see the project", len(files))
	}
	return files
}

func parse(top, path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(top, path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, path, text, parser.ParseComments)
	return &file{
		path:   rel,
		dir:    filepath.Dir(rel),
		isTest: strings.HasSuffix(rel, "_test.go"),
		lines:  strings.Count(string(text), "\n"),
		syntax: syntax,
		set:    set,
	}, err
}

// within reports whether dir is room or lies below it.
func within(dir, room string) bool {
	return dir == room || strings.HasPrefix(dir, room+"/")
}
