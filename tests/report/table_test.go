package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	// events writes a test's results, like "A pass", as go test -json does.
	events := func(results ...string) string {
		var b strings.Builder
		for _, result := range results {
			if strings.HasPrefix(result, "#") {
				b.WriteString(result + "\n")
				continue
			}
			test, action, _ := strings.Cut(result, " ")
			b.WriteString(`{"Action":"run","Package":"p","Test":"` + test + "\"}\n")
			if action != "" {
				b.WriteString(`{"Action":"` + action + `","Package":"p","Test":"` + test + "\"}\n")
			}
		}
		return b.String()
	}
	for _, test := range []struct {
		name  string
		files []string // v1, v2
		rows  string
		ok    bool
	}{
		{"all pass", []string{events("A pass"), events("A pass")}, "\n1 other tests passed everywhere\n", true},
		{"skipped on one", []string{events("A skip"), events("A pass", "B pass")}, "| p A | skip | pass |\n| p B |  | pass |\n\n0 other", true},
		{"skipped everywhere", []string{events("A skip"), events("A skip")}, "| p A | skip | skip |\n", false},
		{"failed on one", []string{events("A pass"), events("A fail")}, "| p A | pass | fail |\n", false},
		{"did not end", []string{events("A pass"), events("A")}, "| p A | pass | fail |\n", false},
		{"sections", []string{events("# unit", "A pass", "# race", "A fail"), events("A skip", "# again", "A pass")}, "| p A | fail | pass |\n", false},
		{"subtests", []string{events("A/x fail", "A fail"), events("A/x pass", "A pass")}, "| p A/x | fail | pass |\n\n1 other", false},
		{"subtests on one", []string{events("A/x pass", "A pass"), events("A skip")}, "| p A | pass | skip |\n| p A/x | pass |  |\n\n0 other", true},
		{"nothing", []string{"", ""}, "\n0 other tests", false},
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
			if want := "| test | v1 | v2 |\n|---|---|---|\n" + test.rows; !strings.HasPrefix(out.String(), want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
	if _, err := table([]string{"/no/such.json"}, os.Stdout); err == nil {
		t.Error("a file that is not there is no error")
	}
}
