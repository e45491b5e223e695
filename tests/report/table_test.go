package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	// events writes a test's results, like "A pass", as go test -json does. The
	// reason of a skip is "no|ne".
	events := func(results ...string) string {
		var b strings.Builder
		for _, result := range results {
			if strings.HasPrefix(result, "#") {
				b.WriteString(result + "\n")
				continue
			}
			test, action, _ := strings.Cut(result, " ")
			b.WriteString(`{"Action":"run","Package":"p","Test":"` + test + "\"}\n")
			if action == "skip" {
				b.WriteString(`{"Action":"output","Package":"p","Test":"` + test + `","Output":"a_test.go:1: no|ne\n"}` + "\n")
			}
			if action != "" {
				b.WriteString(`{"Action":"` + action + `","Package":"p","Test":"` + test + "\"}\n")
			}
		}
		return b.String()
	}
	for _, test := range []struct {
		name  string
		files []string // v1, v2
		count string   // of the package, if it is looked at
		row   string   // of the only test that has one
		sum   string
		ok    bool
	}{
		{"all pass", []string{events("A pass"), events("A pass")}, "| p | 1 | 1 |\n", "", "1, 0, 0, 0", true},
		{"not to run on one", []string{events("A pass"), events("A pass", "B pass")}, "| p | 1 | 2 |\n", "", "2, 0, 0, 0", true},
		{"nothing of a package on one", []string{"", events("A pass")}, "| p |  | 1 |\n", "", "1, 0, 0, 0", true},
		{"skipped on one", []string{events("A skip"), events("A pass")}, "| p | 0, 1 skipped | 1 |\n", `| p A | skip | pass | no\|ne |`, "0, 1, 0, 0", true},
		{"skipped everywhere", []string{events("A skip"), events("A skip")}, "| p | 0, 1 skipped | 0, 1 skipped |\n", `| p A | skip | skip | no\|ne; PASSED NOWHERE |`, "0, 0, 1, 0", false},
		{"skipped where it ran", []string{events("B pass"), events("A skip", "B pass")}, "", `| p A |  | skip | no\|ne; PASSED NOWHERE |`, "1, 0, 1, 0", false},
		{"failed on one", []string{events("A pass"), events("A fail")}, "| p | 1 | 0, 1 failed |\n", "| p A | pass | fail |  |", "0, 0, 0, 1", false},
		{"did not end", []string{events("A pass"), events("A")}, "", "| p A | pass | fail |  |", "0, 0, 0, 1", false},
		{"sections", []string{events("# unit", "A pass", "# race", "A fail"), events("A skip", "# again", "A pass")}, "", "| p A | fail | pass |  |", "0, 0, 0, 1", false},
		{"subtests", []string{events("A/x fail", "A fail"), events("A/x pass", "A pass")}, "", "| p A/x | fail | pass |  |", "0, 0, 0, 1", false},
		{"subtests on one", []string{events("A/x pass", "A pass"), events("A skip")}, "| p | 1 | 0, 1 skipped |\n", `| p A | pass | skip | no\|ne |`, "1, 1, 0, 0", true},
		{"nothing", []string{"", ""}, "", "", "0, 0, 0, 0", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var paths []string
			dir := t.TempDir()
			for i, text := range test.files {
				path := filepath.Join(dir, []string{"v1.json", "v2.json"}[i])
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, path)
			}
			var out strings.Builder
			ok, err := table(paths, &out)
			if err != nil || ok != test.ok {
				t.Errorf("ok %v, %v", ok, err)
			}
			got := out.String()
			if want := "| package | v1 | v2 |\n|---|---|---|\n" + test.count; !strings.HasPrefix(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			_, got, _ = strings.Cut(got, "\n| test | v1 | v2 | reason |\n|---|---|---|---|\n")
			rows, sum, _ := strings.Cut(got, "\n\n")
			if test.row == "" {
				sum = strings.TrimPrefix(rows, "\n")
				rows = ""
			}
			words := strings.NewReplacer(" passed wherever they ran", "", " passed somewhere and were skipped elsewhere", "", " passed nowhere", "", " failed\n", "")
			if rows != test.row || words.Replace(sum) != test.sum {
				t.Errorf("got\n%s", got)
			}
		})
	}
	if _, err := table([]string{"/no/such.json"}, os.Stdout); err == nil {
		t.Error("a file that is not there is no error")
	}
}
