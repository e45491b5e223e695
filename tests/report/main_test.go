package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	tests := []struct {
		name   string
		events string
		want   string
		ok     bool
	}{
		{"nothing", ``, "no test ran\n0 passed, 0 failed, 0 skipped\n", false},
		{
			"only skips", `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"=== RUN A\n"}
{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:3: no kernel: none\n"}
{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":0.1}
`, "pass p (0.1s)\nskip p A: no kernel: none\n0 passed, 0 failed, 1 skipped\n", false,
		},
		{
			"subtests", `# unit
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y"}
{"Action":"output","Package":"p","Test":"A/y","Output":"    a_test.go:3: bad\n"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A/y"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`, "== unit\nFAIL p A/y (unit)\n        a_test.go:3: bad\nfail p (0.1s)\n1 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"parent fails on its own", `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:9: after\n"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`, "FAIL p A\n        a_test.go:9: after\nfail p (0.1s)\n1 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"does not build", `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: oops\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL p [build failed]\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p"}
{"Action":"run","Package":"q","Test":"A"}
{"Action":"pass","Package":"q","Test":"A"}
`, "p.go:1: oops\nFAIL p\n    FAIL p [build failed]\nfail p (0.0s)\n1 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"does not end", `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Test":"B","Output":"so far\n"}
{"Action":"pass","Package":"p","Test":"A"}
`, "FAIL p B: did not end\n    so far\n1 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"the same test in two sections, and other lines", `# unit
{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":1}
# race
go: something
{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"skip","Package":"r","Elapsed":0}
`, "== unit\npass p (1.0s)\n== race\ngo: something\n2 passed, 0 failed, 0 skipped\n", true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := report(strings.NewReader(test.events), &out)
			if err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != test.want || ok != test.ok {
				t.Errorf("ok is %t, want %t; got\n%s\nwant\n%s", ok, test.ok, got, test.want)
			}
		})
	}
}
